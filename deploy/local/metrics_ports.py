"""On one machine each process tells its metrics on a port of its own."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.local.errors import LocalStackError, WrongSettingError
from deploy.local.listener import listen

HOST = "127.0.0.1"
OPTION = "--metrics-port"
_VARIABLE = "PARLEY_METRICS_LISTEN"


def addresses(first: int | None, workers: int) -> list[str | None]:
    """The address of the gateway, then of each worker; ``None`` for all of them without a ``first`` port.

    Raises:
        LocalStackError: there are not so many ports behind ``first``, or one of them is taken.
    """
    if first is None:
        return [None] * (1 + workers)
    last = first + workers
    if last > 65535:
        raise LocalStackError(
            f"{OPTION} {first} leaves no ports for {workers} workers; choose {65535 - workers} or less."
        )
    for port in range(first, last + 1):
        listen(HOST, port, option=OPTION).close()
    return [f"{HOST}:{port}" for port in range(first, last + 1)]


def listening(environment: Mapping[str, str], address: str | None) -> dict[str, str]:
    """The environment of a process that tells its metrics on ``address``."""
    return {**environment, **({_VARIABLE: address} if address else {})}


def refuse_one_for_all(environment: Mapping[str, str]) -> None:
    """Refuse an address that all processes of the machine would share.

    Raises:
        WrongSettingError: the environment names one.
    """
    if given := environment.get(_VARIABLE):
        raise WrongSettingError(
            f"{_VARIABLE}={given} would be the address of every process here. Unset it, and use "
            f"parley up {OPTION} PORT: the gateway gets this port of {HOST}, and each worker one behind it."
        )
