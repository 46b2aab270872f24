"""Resolving a turn's modules, from the persona's template to the last stage after the answer."""
