"""Whole experiments over HTTP: a real worker, and a model server that plays the agents."""
