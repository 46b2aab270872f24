"""The guards that the transformer's code calls: attributes, items, writes, classes' names."""

from __future__ import annotations

import types
from collections import Counter
from typing import Any

from RestrictedPython.transformer import INSPECT_ATTRIBUTES  # type: ignore[import-untyped, unused-ignore]

from workers.sandbox.language.attributes import OF_CLASSES, OF_INSTANCES, WITH_ITEMS, WITH_WRITABLE_ITEMS
from workers.sandbox.language.classes import EXCEPTIONS, ScriptClass, may_read, may_write
from workers.sandbox.language.context import Context
from workers.sandbox.language.errors import GenerationError
from workers.sandbox.language.facades import Facade
from workers.sandbox.language.formatting import bound_format, bound_format_map
from workers.sandbox.language.values import Record, is_named_tuple

_NOTHING = object()
_FORMATS = {"format": bound_format, "format_map": bound_format_map}


def get_attribute(thing: Any, name: str) -> Any:
    """`thing.name` of a script: default deny, by exact type.

    Raises:
        AttributeError: not listed, or not there; the message says what can be used instead.
    """
    if type(name) is not str:
        raise TypeError("an attribute's name must be a string")
    if name.startswith("_") or name in INSPECT_ATTRIBUTES:
        raise AttributeError(f'the attribute "{name}" is not allowed in scripts')
    kind = type(thing)
    # A class of another metaclass could pass for one of the keys by its own hash and equality.
    listed = OF_INSTANCES.get(kind) if type(kind) is type else None
    if listed is not None:
        if kind is str and name in _FORMATS:
            return _FORMATS[name](thing, get_attribute, get_item)
        if kind is Record and name not in listed and name in thing:
            return dict.__getitem__(thing, name)
        if name in listed:
            return _read(thing, name)
    elif type(kind) is ScriptClass:
        if may_read(kind, name) or (name == "args" and issubclass(kind, BaseException)):
            return getattr(thing, name)
    elif kind is ScriptClass:
        if may_read(thing, name):
            return getattr(thing, name)
    elif kind is Facade or kind is Context:
        return thing.member(name)
    elif kind is type:
        listed = OF_CLASSES.get(thing)
        if listed is not None and name in listed:
            if thing is str and name in _FORMATS:
                return lambda text, *args, **named: _format_of_class(name, text, args, named)
            return getattr(thing, name)
        if thing in EXCEPTIONS:
            listed = frozenset()
    elif is_named_tuple(thing):
        listed = frozenset(kind._fields) | {"count", "index"}
        if name in listed:
            return getattr(thing, name)
    elif issubclass(kind, BaseException):
        listed = frozenset({"args"})
        if name == "args":
            return thing.args
    raise AttributeError(_missing(thing, name, listed))


def _read(thing: Any, name: str) -> Any:
    value = getattr(thing, name)
    # A live view of a host dict: the script gets a copy.
    return dict(value) if type(value) is types.MappingProxyType else value


def _format_of_class(name: str, text: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    if type(text) is not str:
        raise TypeError(f"str.{name} needs a string")
    return _FORMATS[name](text, get_attribute, get_item)(*args, **named)


def _missing(thing: Any, name: str, listed: frozenset[str] | None) -> str:
    shown = type_name(thing)
    if listed is None:
        return f"{shown} has no attribute {name!r} that scripts may use"
    close = sorted(word for word in listed if word[:2] == name[:2])
    hint = f": did you mean {', '.join(close[:4])}?" if close else ""
    return f"{shown} has no attribute {name!r}{hint}"


def type_name(thing: Any) -> str:
    """What messages call a value."""
    if type(thing) is Record:
        return "dict"
    if isinstance(thing, type):
        return f"class {thing.__name__}"
    return type(thing).__name__


def get_attribute_or(thing: Any, name: str, default: Any = _NOTHING, /) -> Any:
    """The builtin `getattr` of scripts."""
    if default is _NOTHING:
        return get_attribute(thing, name)
    try:
        return get_attribute(thing, name)
    except AttributeError:
        return default


def has_attribute(thing: Any, name: str, /) -> bool:
    """The builtin `hasattr` of scripts."""
    try:
        get_attribute(thing, name)
    except AttributeError:
        return False
    return True


def get_item(thing: Any, index: Any) -> Any:
    """`thing[index]`: only of containers and of script objects."""
    kind = type(thing)
    if (type(kind) is type and kind in WITH_ITEMS) or type(kind) is ScriptClass or is_named_tuple(thing):
        return thing[index]
    if isinstance(thing, type):
        raise TypeError(f"{type_name(thing)} takes no index; types in brackets belong in annotations only")
    raise TypeError(f"{type_name(thing)} takes no index")


def writable(thing: Any) -> Any:
    """The object of `thing[index] = …` and `del thing[index]`."""
    kind = type(thing)
    if (type(kind) is type and kind in WITH_WRITABLE_ITEMS) or type(kind) is ScriptClass:
        return thing
    raise TypeError(f"items of {type_name(thing)} cannot be changed: use a list or a dict")


def attribute_writable(thing: Any, name: str) -> Any:
    """The object of `thing.name = …` and `del thing.name`."""
    kind = type(thing)
    owner = kind if type(kind) is ScriptClass else thing if kind is ScriptClass else None
    if owner is None:
        raise TypeError(
            f"attributes of {type_name(thing)} cannot be changed, only those of the script's own classes: "
            "use a dict"
        )
    if not may_write(owner, name):
        raise TypeError(f'the attribute "{name}" cannot be changed: choose another name')
    return thing


def attribute_augmentable(thing: Any, name: str) -> Any:
    """The object of `thing.name += …`: what may be written and read."""
    attribute_writable(thing, name)
    owner = thing if type(thing) is ScriptClass else type(thing)
    if not may_read(owner, name):
        raise TypeError(f'the attribute "{name}" cannot be read: choose another name')
    return thing


#: Types that `type(x)` gives; of other values it gives the nearest listed exception, or fails.
_SHOWN_TYPES = frozenset(OF_CLASSES) | {bool, complex, range, slice, Counter, type(None), type(...)}


def type_of(thing: Any, /) -> Any:
    """`type(thing)` and `thing.__class__` of scripts: plain types, script classes, exceptions."""
    kind = type(thing)
    if kind is Record:
        return dict
    if (type(kind) is type and kind in _SHOWN_TYPES) or type(kind) is ScriptClass or is_named_tuple(thing):
        return kind
    if issubclass(kind, BaseException):
        return next((base for base in kind.__mro__ if base in _CAUGHT), Exception)
    raise TypeError(f"the type of a {kind.__name__} is not shown to scripts: use isinstance or callable")


def name_of(thing: Any) -> str:
    """`thing.__name__` of scripts: of classes and of functions."""
    if isinstance(thing, type | types.FunctionType):
        return thing.__name__
    raise AttributeError(f"{type_name(thing)} has no attribute '__name__' that scripts may use")


_CAUGHT = frozenset({*EXCEPTIONS, GenerationError})

# Python's own messages (a wrong number of arguments) call functions by these names.
type_of.__qualname__ = "type"
get_attribute_or.__qualname__ = "getattr"
has_attribute.__qualname__ = "hasattr"
