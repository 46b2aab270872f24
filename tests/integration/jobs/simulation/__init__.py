"""A step-by-step simulation of whole processes on the real servers.

Every process of Parley is there: workers and gateways with their own clients of Postgres and Redis. Whatever
one of them asks of a server waits at a gate; a seeded scheduler decides what happens next: which question is
asked, whether it is refused or its answer lost, how far the clock goes, who crashes, freezes or is told to
stop, what Redis forgets, what clients do. After every step the promises are checked.
"""
