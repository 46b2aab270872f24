"""Classes that scripts define: marked by their metaclass, with bases from a short list."""

from __future__ import annotations

from typing import Any

#: Exceptions that a script may name, catch and raise.
EXCEPTIONS: tuple[type[Exception], ...] = (
    Exception,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    FloatingPointError,
    ImportError,
    IndexError,
    KeyError,
    LookupError,
    MemoryError,
    NameError,
    NotImplementedError,
    OSError,
    OverflowError,
    PermissionError,
    RecursionError,
    RuntimeError,
    StopIteration,
    SyntaxError,
    TimeoutError,
    TypeError,
    UnboundLocalError,
    UnicodeDecodeError,
    UnicodeEncodeError,
    UnicodeError,
    ValueError,
    ZeroDivisionError,
)

#: Exceptions that a script's class may inherit from: those without attributes of their own.
EXCEPTION_BASES = frozenset(
    {
        Exception,
        ArithmeticError,
        AssertionError,
        IndexError,
        KeyError,
        LookupError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
        ZeroDivisionError,
    }
)

#: Public names of `type` and `BaseException`: reachable only where the script itself defined them.
_INHERITED = frozenset(n for base in (type, Exception) for n in dir(base) if not n.startswith("_"))


class ScriptClass(type):
    """The metaclass of every class that a script defines."""

    def __repr__(cls) -> str:
        return f"<class {cls.__name__!r}>"


class ScriptObject(metaclass=ScriptClass):
    """The base of script classes that name none."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object>"


def make_class(name: str, bases: tuple[Any, ...], namespace: dict[str, Any]) -> type:
    """What a `class` statement calls.

    Raises:
        TypeError: a base that is neither a class of the script nor a listed exception.
    """
    for base in bases:
        if type(base) is not ScriptClass and not (type(base) is type and base in EXCEPTION_BASES):
            shown = getattr(base, "__name__", None) if isinstance(base, type) else None
            raise TypeError(
                f"class {name} cannot inherit from {shown or 'this value'}: use classes of the script, "
                "Exception, ValueError or another plain exception; keep lists and dicts in attributes"
            )
    return ScriptClass(name, bases or (ScriptObject,), namespace)


def may_read(cls: type, name: str) -> bool:
    """Whether an attribute of a script's class, or of an instance, may be read."""
    return name not in _INHERITED or _defines(cls, name)


def may_write(cls: type, name: str) -> bool:
    """Whether it may be assigned or deleted."""
    return name not in _INHERITED or _defines(cls, name)


def _defines(cls: type, name: str) -> bool:
    return any(type(part) is ScriptClass and name in part.__dict__ for part in cls.__mro__)


def super_attribute(cls: Any, this: Any, name: str) -> Any:
    """`super().name` inside of a method of `cls`; `name` is public, or `__init__`.

    Raises:
        TypeError: called with something that is no instance of the class.
        AttributeError: no base class has the name.
    """
    if type(cls) is not ScriptClass:
        raise TypeError("super() works in methods of the script's own classes only")
    start = this if type(this) is ScriptClass else type(this)
    if type(start) is not ScriptClass or not issubclass(start, cls):
        raise TypeError("super() needs the method's first argument to be an instance of its class")
    order = start.__mro__
    later = order[order.index(cls) + 1 :]
    for part in later:
        if type(part) is ScriptClass and part is not ScriptObject and name in part.__dict__:
            return getattr(super(cls, this), name)
    if name == "__init__":
        return getattr(super(cls, this), "__init__")  # noqa: B009
    raise AttributeError(f"no base class of {cls.__name__} has {name!r}")
