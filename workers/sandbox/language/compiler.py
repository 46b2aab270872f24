"""From a script's text to guarded code."""

from __future__ import annotations

import ast
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from workers.sandbox.language.analysis import Analysis, analyse
from workers.sandbox.language.errors import ScriptSyntaxError
from workers.sandbox.language.facades import MODULE_NAMES
from workers.sandbox.language.transformer import ScriptTransformer, bound_names

#: Part of every cache key of compiled code: changes with what the compiler lets through.
POLICY_VERSION = "1"

#: What tracebacks call the script; frames of any other file are the host's and never shown.
SCRIPT_FILE = "<script>"

#: Longest source, in characters.
SOURCE_LIMIT = 100_000

# The tree of a chain of some hundred `+` is that deep; measured to stay far from the end of the C stack.
_COMPILE_DEPTH = 2_000


@dataclass(frozen=True, slots=True)
class Compiled:
    """Guarded code (fit for `marshal`) and what the script will do."""

    code: types.CodeType
    analysis: Analysis


def compile_script(source: str) -> Compiled:
    """Compile a script under the policy.

    Raises:
        ScriptSyntaxError: it is no Python, or uses what scripts may not; with line and column where known.
    """
    if len(source) > SOURCE_LIMIT:
        raise ScriptSyntaxError(
            f"the script has {len(source)} characters; at most {SOURCE_LIMIT} are allowed: shorten it"
        )
    try:
        with _room_to_recurse(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _compile(source)
    except SyntaxError as exc:
        message = exc.msg if exc.msg.startswith("invalid syntax") else f"invalid syntax: {exc.msg}"
        raise ScriptSyntaxError(message, exc.lineno, exc.offset or None) from None
    except (RecursionError, MemoryError):
        raise ScriptSyntaxError("the script is nested too deeply: split its expressions") from None
    except UnicodeError:
        raise ScriptSyntaxError("the script has characters that are no text (lone surrogates)") from None
    except ValueError as exc:
        raise ScriptSyntaxError(f"invalid syntax: {exc}") from None


def _compile(source: str) -> Compiled:
    tree = ast.parse(source, SCRIPT_FILE)
    analysis = analyse(tree, source)
    transformer = ScriptTransformer(frozenset(bound_names(tree)), MODULE_NAMES)
    guarded = transformer.visit(tree)
    if transformer.refused:
        first = min(transformer.refused)
        raise ScriptSyntaxError(first.message, first.line, _column(source, first.line, first.offset))
    code = compile(ast.fix_missing_locations(guarded), SCRIPT_FILE, "exec", dont_inherit=True)
    return Compiled(code, analysis)


def _column(source: str, line: int, offset: int) -> int:
    """From an offset in UTF-8 bytes to a column in characters, from 1."""
    lines = source.split("\n")
    text = lines[line - 1] if line <= len(lines) else ""
    return len(text.encode()[:offset].decode(errors="replace")) + 1


@contextmanager
def _room_to_recurse() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _COMPILE_DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
