"""Traces of whole turns and runs, as a collector gets them."""
