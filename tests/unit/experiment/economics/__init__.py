"""The money of a run: payoffs, counterfactuals and results."""
