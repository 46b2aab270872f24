"""How a group calls a vote, casts its ballots, and decides."""
