"""The functions, one module a group. A module put here is found by the registry."""
