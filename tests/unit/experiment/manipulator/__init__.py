"""The hidden treatment of one agent, and what it moved."""
