"""The principles: distributions, rules, bands, and what is printed of them."""
