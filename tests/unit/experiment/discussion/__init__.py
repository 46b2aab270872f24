"""How the group talks: prompts, statements, and the history that fits."""
