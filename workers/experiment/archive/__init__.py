"""Exported runs: read from their file, and repeated without a service, a database or a model."""
