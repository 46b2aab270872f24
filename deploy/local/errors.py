"""What can go wrong on the way to a running stack; each error says what to do about it."""

from __future__ import annotations

from typing import ClassVar

from deploy.exit_codes import ExitCode


class LocalStackError(Exception):
    """The one-machine stack cannot do what was asked; the message holds the cause and the remedy."""

    #: What the command that fails with it exits with.
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED


class WrongSettingError(LocalStackError):
    """A ``PARLEY_*`` variable holds what cannot be a value of it."""

    exit_code = ExitCode.USAGE


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

    exit_code = ExitCode.ALREADY_RUNNING


class NotRunningError(LocalStackError):
    """No stack runs on this data directory."""

    exit_code = ExitCode.NOT_RUNNING


class ModelUnavailableError(LocalStackError):
    """The local model's file is missing, cannot be fetched, or is not the file that it should be."""


class PortTakenError(LocalStackError):
    """Another program listens on the gateway's address."""

    exit_code = ExitCode.PORT_TAKEN


class ExistsError(LocalStackError):
    """Something would be overwritten."""

    exit_code = ExitCode.EXISTS
