"""Modules: the parts that a persona's system prompt is built of, anew each turn, in five stages."""
