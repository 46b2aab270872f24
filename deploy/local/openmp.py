"""The OpenMP runtime that the engine needs and that slim images lack: found, or fetched."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from deploy.local.errors import NotInstalledError
from deploy.local.wheel import fetch_member

_LIBRARY = "libgomp.so.1"
#: A wheel that carries GCC's runtime (GPL with the runtime library exception) for x86_64 and aarch64; only
#: that one library is taken out of it.
_CARRIER = "scikit-learn==1.9.1"
_MEMBER = "scikit_learn.libs/libgomp-*"


def system_has_openmp() -> bool:
    """Whether the engine can load its runtime from the system."""
    if not sys.platform.startswith("linux"):
        return True
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return False
    return True


def provide(directory: Path) -> Path | None:
    """A folder for ``LD_LIBRARY_PATH`` in which the runtime lies; None when the system has it.

    Raises:
        NotInstalledError: it is neither here nor to be had.
    """
    if system_has_openmp():
        return None
    if not (directory / _LIBRARY).exists():
        try:
            fetch_member(_CARRIER, _MEMBER, directory / _LIBRARY)
        except NotInstalledError as error:
            raise NotInstalledError(
                f"The model's engine needs {_LIBRARY}, which this machine lacks and which could not be "
                f"fetched ({error}). Install it (apt-get install libgomp1, dnf install libgomp), or start "
                "without the local model (parley up --no-local-model)."
            ) from error
    return directory
