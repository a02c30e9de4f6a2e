"""What protocols are made of where one file would be two subjects, or two protocols share it."""
