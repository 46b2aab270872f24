"""The names that a run starts with: builtins, guards, `ctx`."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

from workers.sandbox.language import guards
from workers.sandbox.language.classes import EXCEPTIONS, make_class, super_attribute
from workers.sandbox.language.context import Context
from workers.sandbox.language.errors import GenerationError
from workers.sandbox.language.facades import Imports, import_from_c
from workers.sandbox.language.output import Printed, make_print
from workers.sandbox.language.words import words

_BUILTINS = words(
    """
    __build_class__ None True False Ellipsis NotImplemented
    abs all any ascii bin bool bytes callable chr classmethod complex dict divmod enumerate filter float
    format frozenset hex int isinstance issubclass iter len list map max min next oct ord pow property range
    repr reversed round set slice sorted staticmethod str sum tuple zip
    """
)

#: The same for every run.
_FIXED: dict[str, Any] = {
    **{name: getattr(builtins, name) for name in _BUILTINS},
    **{kind.__name__: kind for kind in EXCEPTIONS},
    "GenerationError": GenerationError,
    "__name__": "script",
    "__import__": import_from_c,
    "__metaclass__": make_class,
    "_any_error_": Exception,
    "_augment_attribute_": guards.attribute_augmentable,
    "_getattr_": guards.get_attribute,
    "_getitem_": guards.get_item,
    "_name_": guards.name_of,
    "_super_": super_attribute,
    "_type_": guards.type_of,
    "_write_": guards.writable,
    "_write_attribute_": guards.attribute_writable,
    "getattr": guards.get_attribute_or,
    "hasattr": guards.has_attribute,
    "type": guards.type_of,
}


# Messages about wrong arguments name the function as the script does.
for _name in ("getattr", "hasattr", "type"):
    _FIXED[_name].__name__ = _FIXED[_name].__qualname__ = _name


def starting_names(context: Context, imports: Imports, printed: Printed) -> Mapping[str, Any]:
    """The `__builtins__` of a run."""
    names = dict(_FIXED)
    names["_import_"] = imports.get
    names["print"] = make_print(printed)
    names["ctx"] = context
    for function in ("generate", "reflect"):
        try:
            names[function] = context.member(function)
        except AttributeError:
            continue
    return names
