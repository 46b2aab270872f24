"""What agents do alone."""
