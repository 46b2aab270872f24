"""Parley on Kubernetes: the Helm chart, and what is written about it from its own files."""
