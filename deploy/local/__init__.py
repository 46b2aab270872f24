"""One machine: the embedded servers, the local model, and the supervisor that keeps them running."""
