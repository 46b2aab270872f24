"""What rankings add up to."""
