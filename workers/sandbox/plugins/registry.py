"""The functions of ``ctx`` by name: declared by a decorator, described for people, called for scripts."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError

from workers.sandbox.plugins.context import PluginContext
from workers.sandbox.plugins.errors import CallError

log = logging.getLogger(__name__)

Category = Literal["time", "text", "messages", "info", "memory", "ai", "state", "log"]
#: Characters of a refused value that an error message shows.
SHOWN = 60
#: Bytes kept free for what stands around a result.
_FRAME = 256
_STRICT = ConfigDict(strict=True)
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterInfo:
    """A parameter as a script's author sees it; ``default`` is a JSON value, and ``None`` when required."""

    name: str
    type: str
    default: Any
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionInfo:
    """A function as a script's author sees it: ``signature`` is the line to call it by."""

    name: str
    signature: str
    docstring: str
    category: Category
    parameters: tuple[ParameterInfo, ...]


class PluginFunction:
    """One function: binds a script's arguments, checks their types, and runs."""

    def __init__(self, function: Callable[..., Any], category: Category) -> None:
        self.name: str = function.__name__
        self._function = function
        hints = get_type_hints(function, include_extras=True)
        context, *rest = inspect.signature(function).parameters.values()
        if hints.get(context.name) is not PluginContext:
            raise TypeError(f"{self.name}: the first parameter of a plugin function is its PluginContext")
        self._signature = inspect.Signature(rest)
        self._types: dict[str, TypeAdapter[Any]] = {
            parameter.name: TypeAdapter(hints[parameter.name], config=_STRICT) for parameter in rest
        }
        self.info = FunctionInfo(
            name=self.name,
            signature=f"{self.name}({', '.join(map(_written, rest))}) -> {_type(hints['return'])}",
            docstring=inspect.getdoc(function) or "",
            category=category,
            parameters=tuple(_described(parameter, hints[parameter.name]) for parameter in rest),
        )

    async def __call__(self, context: PluginContext, args: list[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run it with a script's arguments.

        Raises:
            CallError: the arguments do not fit, or the function refuses or fails.
        """
        bound = self._bound(args, kwargs)
        result = self._function(context, *bound.args, **bound.kwargs)
        return await result if inspect.isawaitable(result) else result

    def _bound(self, args: list[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise CallError("TypeError", f"{self.name}(): {error}; {self._remedy}") from None
        for name, value in bound.arguments.items():
            match self._signature.parameters[name].kind:
                case inspect.Parameter.VAR_POSITIONAL:
                    checked: Any = tuple(self._checked(name, item) for item in value)
                case inspect.Parameter.VAR_KEYWORD:
                    checked = {key: self._checked(name, item) for key, item in value.items()}
                case _:
                    checked = self._checked(name, value)
            bound.arguments[name] = checked
        return bound

    def _checked(self, name: str, value: Any) -> Any:
        try:
            return self._types[name].validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            wrong_type = first["type"].endswith(("_type", "_from_float", "is_instance_of"))
            raise CallError(
                "TypeError" if wrong_type else "ValueError",
                f"{self.name}(): argument {name}: {first['msg'][:1].lower()}{first['msg'][1:]}, "
                f"got {_shown(value)}; {self._remedy}",
            ) from None

    @property
    def _remedy(self) -> str:
        return f"call it as {self.info.signature}"


class PluginRegistry:
    """Every function of ``ctx``."""

    def __init__(self, functions: Mapping[str, PluginFunction]) -> None:
        self._functions = dict(sorted(functions.items()))
        self._names = tuple(self._functions)

    def names(self) -> tuple[str, ...]:
        """The names, sorted."""
        return self._names

    def describe(self) -> list[FunctionInfo]:
        """The functions, by category in the order of :data:`Category`, then by name."""
        order = get_args(Category)
        infos = (function.info for function in self._functions.values())
        return sorted(infos, key=lambda info: (order.index(info.category), info.name))

    async def call(
        self, context: PluginContext, name: str, args: list[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """The JSON value that ``ctx.name(*args, **kwargs)`` gives.

        Raises:
            CallError: there is no such function, its arguments do not fit, or it refuses or fails. What
                fails inside Parley is logged and told to the script without its text.
        """
        function = self._functions.get(name)
        if function is None:
            raise CallError(
                "AttributeError", f"ctx has no function {name!r}; ctx.get_available_functions() lists them"
            )
        try:
            result = await function(context, args, kwargs)
            self._fits(context, name, result)
            return result
        except CallError:
            raise
        except Exception as error:
            log.exception("ctx.%s failed", name, extra={"module_name": context.module_name})
            raise CallError("RuntimeError", f"{name}() failed inside Parley; try again later") from error

    def _fits(self, context: PluginContext, name: str, result: Any) -> None:
        if not isinstance(result, str | list | dict):
            return
        # Around it stands a frame.
        size, room = _encoded_size(result), context.payload - _FRAME
        if size > room:
            raise CallError(
                "ValueError",
                f"{name}(): the result has {size} bytes, and one call carries {room}; ask for less at once",
            )


_declared: dict[str, PluginFunction] = {}


def plugin_function(*, category: Category) -> Callable[[_F], _F]:
    """Declare a function of ``ctx``.

    Its first parameter is the :class:`PluginContext`; the rest, with types and defaults, is what a script
    calls it with. It may be ``async``. It gives a JSON value and refuses by raising :class:`CallError`.
    """

    def declare(function: _F) -> _F:
        if function.__name__ in _declared:
            raise ValueError(f"there are two plugin functions {function.__name__!r}; rename one")
        _declared[function.__name__] = PluginFunction(function, category)
        return function

    return declare


@cache
def plugin_registry() -> PluginRegistry:
    """The functions of every module in :mod:`workers.sandbox.plugins.functions`, found once."""
    package = importlib.import_module("workers.sandbox.plugins.functions")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return PluginRegistry(_declared)


def _encoded_size(value: Any) -> int:
    try:
        return len(orjson.dumps(value))
    except TypeError:  # an integer of more than 64 bits, half of a surrogate pair
        return len(json.dumps(value))


def _shown(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, str):
        return f"{value[:SHOWN]!r}{'…' if len(value) > SHOWN else ''} ({kind})"
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 10**SHOWN):
        return f"{value} ({kind})"
    return f"a value of type {kind}"


def _type(annotation: Any) -> str:
    if annotation is type(None):
        return "None"
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(map(_type, get_args(annotation)))
    return inspect.formatannotation(annotation).replace("typing.", "")


def _written(parameter: inspect.Parameter) -> str:
    return str(parameter.replace(annotation=inspect.Parameter.empty))


def _described(parameter: inspect.Parameter, hint: Any) -> ParameterInfo:
    many: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    required = parameter.default is inspect.Parameter.empty and parameter.kind not in many
    return ParameterInfo(
        name=many.get(parameter.kind, "") + parameter.name,
        type=_type(hint),
        default=None if parameter.default is inspect.Parameter.empty else parameter.default,
        required=required,
    )
