"""The parts of a discussion: how a statement is asked for, and asked for again."""
