"""The result of a run: what researchers read, cite and compare."""
