"""The language of scripts: RestrictedPython's filter, guards, facades of modules, and `ctx`.

Runs inside of the script's process alone, imports nothing of Parley but itself, and is never the boundary:
that is the process around it.
"""

from __future__ import annotations

from workers.sandbox.language.analysis import Analysis, analyse
from workers.sandbox.language.compiler import POLICY_VERSION, Compiled, compile_script
from workers.sandbox.language.errors import CallFailed, GenerationError, ScriptSyntaxError
from workers.sandbox.language.running import Fault, Outcome, run_script
from workers.sandbox.language.warming import warm

__all__ = [
    "POLICY_VERSION",
    "Analysis",
    "CallFailed",
    "Compiled",
    "Fault",
    "GenerationError",
    "Outcome",
    "ScriptSyntaxError",
    "analyse",
    "compile_script",
    "run_script",
    "warm",
]
