"""One repository for each aggregate: the only place that knows how its rows are found and changed.

Each function works in the session it is given and never commits: who opened the transaction ends it.
"""
