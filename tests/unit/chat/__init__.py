"""What a turn sends and what becomes of its answer, without queue or database."""
