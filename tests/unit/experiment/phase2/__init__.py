"""The rounds of the group, from the first order to the last ranking."""
