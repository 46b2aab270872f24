"""The functions of ``ctx``: what a script may ask of the worker that runs it.

Host side: they run on the worker's event loop, behind the pipe of the script's process. What a script reads
comes through the ports of one run (:mod:`~workers.sandbox.plugins.ports`), which show its own conversation
and nothing else; what it writes is buffered (:mod:`~workers.sandbox.plugins.buffer`).
"""
