"""Flower, as it is run beside the workers."""
