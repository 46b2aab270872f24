"""Who takes part: the participants, and the utility agent that helps without taking part."""
