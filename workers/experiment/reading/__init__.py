"""Reading what agents answered: strictly, or not at all."""
