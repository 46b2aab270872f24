"""Experiments as jobs: their steps in Postgres, their calls to providers, their results."""
