"""Personas as files: what came in, what it would change here, and how it is written when names are taken."""
