"""What a group's rankings add up to: methods of social choice, distances, coalitions."""
