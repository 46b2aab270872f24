"""The ``parley`` command. One module for each thing; what its commands need is imported when they run."""
