"""What can go wrong on the way to a running stack; each error says what to do about it."""

from __future__ import annotations


class LocalStackError(Exception):
    """The one-machine stack cannot do what was asked; the message holds the cause and the remedy."""


class NotInstalledError(LocalStackError):
    """A server or the engine that ``pip install 'parley[local]'`` brings is not there."""


class UnsafeDirectoryError(LocalStackError):
    """A directory that must be private belongs to somebody else, or lets others write."""


class UnreachableDirectoryError(LocalStackError):
    """The account that Postgres runs as cannot enter its own directory."""


class PartFailedError(LocalStackError):
    """A part ended, or did not become ready in time."""


class AlreadyRunningError(LocalStackError):
    """A stack holds this data directory."""


class NotRunningError(LocalStackError):
    """No stack runs on this data directory."""


class ModelUnavailableError(LocalStackError):
    """The local model's file is missing, cannot be fetched, or is not the file that it should be."""


class PortTakenError(LocalStackError):
    """Another program listens on the gateway's address."""
