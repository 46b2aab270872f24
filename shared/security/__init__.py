"""API keys, secrets at rest, and the first administrator."""
