"""A chat turn: what the model is sent, and what becomes of its answer. Knows no queue and no database."""
