"""The readers of answers."""
