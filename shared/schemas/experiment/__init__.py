"""What an experiment is configured with, and the names its results use."""
