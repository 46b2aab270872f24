"""Events on their way to clients: one Redis subscription a process, replay, and Server-Sent Events."""
