"""Plain Python in the place of the language part: what a script can do that has broken out of the language.

It is named to :class:`ScriptProcesses` as its language, and loaded in the zygote. A script has ``call`` for
calls of functions, and every module that is imported here, since it can import no more.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import mmap
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, SimpleNamespace
from typing import Any

POLICY_VERSION = "bare"
_MODULES = (
    contextlib,
    ctypes,
    gc,
    json,
    mmap,
    os,
    random,
    resource,
    signal,
    socket,
    struct,
    subprocess,
    sys,
    threading,
    time,
)


class ScriptSyntaxError(Exception):
    def __init__(self, message: str, line: int | None, column: int | None) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


class CallFailed(Exception):
    def __init__(self, type: str, message: str, code: str = "") -> None:
        super().__init__(message)
        self.type = type


def warm() -> None:
    """Nothing is loaded later."""


def compile_script(source: str) -> SimpleNamespace:
    try:
        code = compile(source, "<script>", "exec")
    except SyntaxError as error:
        raise ScriptSyntaxError(error.msg, error.lineno, error.offset) from None
    return SimpleNamespace(code=code, analysis=SimpleNamespace(as_json=lambda: _analysis(source)))


def _analysis(source: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "functions": [],
        "module_names": [],
        "imports": [],
        "lines": source.count("\n") + 1,
    }
    told |= {"requires_ai_inference": False, "has_loops": False, "has_conditionals": False}
    return told | {"complexity": "low"}


def run_script(
    code: CodeType,
    *,
    call: Callable[..., Any],
    functions: Sequence[str],
    attributes: Mapping[str, Any],
    output_limit: int,
) -> SimpleNamespace:
    scope: dict[str, Any] = {module.__name__: module for module in _MODULES}
    scope |= {"call": call, "attributes": attributes}
    given = {*scope, "__builtins__"}
    error = None
    try:
        exec(code, scope)
    except Exception as exc:
        kind = "LimitError" if getattr(exc, "type", "") == "LimitError" else type(exc).__name__
        limit = "recursion" if isinstance(exc, RecursionError) else None
        error = SimpleNamespace(type=kind, message=str(exc), line=None, limit=limit)
    variables = {name: value for name, value in scope.items() if name not in given and name[0] != "_"}
    return SimpleNamespace(variables=variables, printed="", error=error)
