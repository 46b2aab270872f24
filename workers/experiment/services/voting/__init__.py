"""The parts of a vote: who calls it, who takes part, the secret ballot, what it comes to, what is told."""
