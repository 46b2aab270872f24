"""OpenAI chat completions, and every server that speaks them."""
