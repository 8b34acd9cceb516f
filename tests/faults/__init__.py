"""Faults done to real processes: `python -m tests.faults` tries them all and prints a table."""
