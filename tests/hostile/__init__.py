"""Hundreds of hostile inputs to every command: one line that names the key or file, exit code 2.

None may be accepted silently, leave a traceback or leave anything behind. Files of predictions have
theirs in tests/predictions/readers/.
"""
