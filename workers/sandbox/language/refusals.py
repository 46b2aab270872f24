"""What scripts may not use, and what to do instead."""

from __future__ import annotations

#: Syntax that is refused, by the name of its node: what to write instead.
SYNTAX = {
    "Match": "`match` is not allowed: use if/elif",
    "With": "`with` is not allowed: scripts have nothing to open; call the functions directly",
    "AsyncWith": "`async with` is not allowed: scripts have nothing to open; call the functions directly",
    "TryStar": "`except*` is not allowed: use `except`",
    "TypeAlias": "`type` statements are not allowed: leave the type out",
    "TypeVar": "type parameters are not allowed: leave them out",
    "ParamSpec": "type parameters are not allowed: leave them out",
    "TypeVarTuple": "type parameters are not allowed: leave them out",
}

_FILES = "scripts have no files: keep data in variables, or use ctx.remember and ctx.recall"
_CODE = "scripts cannot make code: write it out, or use functions"
_LOOK = "scripts cannot look into objects: use their listed attributes, or a dict"

#: Builtins that are missing on purpose; the name is free as a variable of the script.
BUILTINS = {
    "open": _FILES,
    "input": "nobody is there to answer: use ctx.last_user_message",
    "eval": _CODE + "; json.loads reads data",
    "exec": _CODE,
    "compile": _CODE,
    "globals": _LOOK,
    "locals": _LOOK,
    "vars": _LOOK,
    "dir": _LOOK,
    "id": "addresses are hidden: compare with `is`, or number the objects yourself",
    "memoryview": "use bytes",
    "bytearray": "use bytes or a list of numbers",
    "object": "leave the base class out",
    "setattr": "write `thing.name = value`, or use a dict",
    "delattr": "write `del thing.name`, or use a dict",
    "breakpoint": "use print",
    "help": "see the list of plugin functions",
    "exit": "leave the rest of the script in an `if`, or raise an exception",
    "quit": "leave the rest of the script in an `if`, or raise an exception",
    "BaseException": "use Exception",
    "SystemExit": "use Exception",
    "KeyboardInterrupt": "use Exception",
    "GeneratorExit": "use Exception",
    "ExceptionGroup": "use Exception",
    "BaseExceptionGroup": "use Exception",
}


def name_advice(name: str) -> str:
    """Why a name that starts with an underscore is refused."""
    if name.startswith("__"):
        return f'the name "{name}" is not allowed: names may not start with "__"; use one underscore or none'
    return f'the name "{name}" is not allowed: a name may not both start and end with "_"'


def attribute_advice(name: str) -> str:
    """Why an attribute's name is refused at compile time."""
    if name == "__init__":
        return "`__init__` can be called as `super().__init__(…)` only"
    if name.startswith("_"):
        return (
            f'the attribute "{name}" is not allowed: attributes may not start with "_"; '
            "choose a name without it"
        )
    return f'the attribute "{name}" is not allowed: it shows the interpreter\'s inside; choose another name'


def import_advice(module: str, allowed: tuple[str, ...]) -> str:
    """Why a module cannot be imported."""
    hint = {
        "os": "scripts have no files and no environment",
        "sys": "scripts cannot reach the interpreter",
        "typing": "leave the annotations out: they are ignored",
        "asyncio": "calls of ctx functions simply wait; `await` may be left out",
        "functools": "write a function or a lambda",
        "operator": "write a lambda",
        "dataclasses": "write a class with __init__, or use collections.namedtuple",
        "requests": "scripts have no network",
        "__future__": "it is not needed",
    }.get(module.partition(".")[0])
    reason = f"{hint}; " if hint else ""
    return f'the module "{module}" is not available: {reason}scripts may import {", ".join(allowed)}'
