"""What agents and the utility agent are asked with, and what becomes of their answers."""
