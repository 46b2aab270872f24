"""Experiments at the edge: read, given models, shown, followed."""
