"""How Parley is run: the ``parley`` command and the one-machine stack with its embedded servers."""
