"""The services of phase 2, each behind a protocol, each tested alone, made once for a run.

A service keeps nothing that a second run over the step log would not build again.
"""
