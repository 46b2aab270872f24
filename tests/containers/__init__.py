"""The whole composed installation on a real container engine: ``python -m tests.containers``.

Not part of the main suite: ``scripts/containers`` runs it. See :mod:`tests.containers.__main__`.
"""
