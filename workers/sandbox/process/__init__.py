"""A script's process: forked from a warm zygote, confined by the kernel, talked to in frames.

Both the worker and the processes themselves import this package, so that what only the worker needs is loaded
when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.sandbox.plugins.errors import CallError
    from workers.sandbox.process.launch import SandboxUnavailableError
    from workers.sandbox.process.processes import ScriptProcesses
    from workers.sandbox.process.request import ScriptRequest, Serve

__all__ = ["CallError", "SandboxUnavailableError", "ScriptProcesses", "ScriptRequest", "Serve"]

_HOME = {
    "CallError": "workers.sandbox.plugins.errors",
    "SandboxUnavailableError": "workers.sandbox.process.launch",
    "ScriptProcesses": "workers.sandbox.process.processes",
    "ScriptRequest": "workers.sandbox.process.request",
    "Serve": "workers.sandbox.process.request",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
