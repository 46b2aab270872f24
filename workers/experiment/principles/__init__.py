"""Distributions of income, the principles that choose among them, and what a choice pays."""
