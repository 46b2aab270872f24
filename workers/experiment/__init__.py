"""The justice-principle experiment: two phases, seven services, a log of steps.

It knows no queue, database or provider: the journal of a run is given ports for them.
"""
