"""The documents made from the tables: the manual, the completions, the README's option list.

Only docgen.py and the tests use what is in here; a run of the command imports none of it.
"""
