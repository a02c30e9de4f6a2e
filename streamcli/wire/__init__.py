"""Bytes in, values out: framing and JSON, for any chunking. No I/O, and nothing is ever raised."""
