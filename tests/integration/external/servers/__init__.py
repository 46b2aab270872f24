"""Servers as operators run them, on the loopback and in directories that go away.

Their programs come from the system (``scripts/external-servers`` installs them on Debian); a test whose
program is missing is skipped and says which.
"""
