"""Parley at a size that no test has: the queue of 10,000 streams, a database of a million conversations.

``python -m tests.simulation`` measures what one statement costs in a database of that size (:mod:`rows`,
:mod:`claims`) and what a stream takes in Redis (:mod:`streams`), and lets the queue run with these costs, by
the rules that the claim's SQL has (:mod:`queue`, :mod:`worlds`). ``docs/scale.md`` has its figures.
"""
