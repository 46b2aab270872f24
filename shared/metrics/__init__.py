"""What operators see of a process in numbers, in Prometheus's format.

Each subject has a module that defines its metrics (:mod:`jobs`, :mod:`turns`, :mod:`providers`, …); the code
that does the thing counts it there. What all processes would say alike of the whole cluster is asked for when
somebody looks (:mod:`cluster`). Labels name kinds, routes and codes; never a user, a conversation or anything
else that somebody wrote.
"""
