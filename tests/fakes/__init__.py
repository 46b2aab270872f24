"""Servers that speak a provider's protocol, and say what was asked of them."""
