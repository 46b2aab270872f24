"""The language filter: RestrictedPython's rules, with what scripts need besides.

`_getiter_`, `_apply_` and the unpacking guards of RestrictedPython are left out: with no host object in the
process, iteration and calls need no guard, and each of them would put a host frame into the script's hands.
"""

# ruff: noqa: D102, N802  (methods named after the nodes that they visit)

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

from RestrictedPython.transformer import (  # type: ignore[import-untyped, unused-ignore]
    INSPECT_ATTRIBUTES,
    RestrictingNodeTransformer,
    copy_locations,
)

from workers.sandbox.language import refusals
from workers.sandbox.language.words import words

#: Methods with double underscores that a script's class may define.
MAGIC_METHODS = frozenset(
    words(
        """
        __init__ __str__ __repr__ __len__ __bool__ __contains__ __iter__ __next__ __call__ __hash__
        __getitem__ __setitem__ __delitem__ __lt__ __le__ __eq__ __ne__ __gt__ __ge__
        __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __neg__ __abs__
        """
    )
)

#: The only attributes with underscores that can be read, each through its own guard.
_READABLE = {"__name__": "_name_", "__class__": "_type_"}

_Node = TypeVar("_Node", bound=ast.AST)


class Refusal(NamedTuple):
    """One thing that the policy refuses; the line counts from 1, the offset from 0 in UTF-8 bytes."""

    line: int
    offset: int
    message: str


def _call(at: ast.expr | ast.stmt, guard: str, *args: ast.expr) -> ast.Call:
    node = ast.Call(func=ast.Name(guard, ast.Load()), args=list(args), keywords=[])
    copy_locations(node, at)
    return node


class ScriptTransformer(RestrictingNodeTransformer):  # type: ignore[misc, unused-ignore]
    """Checks a script's tree and puts the guards in; what it refuses is in `refused`."""

    def __init__(self, bound: frozenset[str], modules: tuple[str, ...]) -> None:
        """`bound`: every name that the script itself binds; `modules`: what it may import."""
        super().__init__()
        self.refused: list[Refusal] = []
        self._bound = bound
        self._modules = modules
        self._scopes: list[ast.AST] = []

    def error(self, node: ast.AST, info: str) -> None:
        self.refused.append(Refusal(getattr(node, "lineno", 1), getattr(node, "col_offset", 0), info))

    def warn(self, node: ast.AST, info: str) -> None:
        """Warnings of the base class say nothing to a script's author."""

    def not_allowed(self, node: ast.AST) -> None:
        kind = type(node).__name__
        self.error(node, refusals.SYNTAX.get(kind, f"this syntax ({kind}) is not allowed: write it plainer"))

    def check_name(self, node: Any, name: str | None, allow_magic_methods: bool = False) -> None:
        """Single underscores make private variables; the guards' own names end with one and are refused."""
        if name is None or name == "_":
            return
        if name.startswith("__"):
            in_class = bool(self._scopes) and isinstance(self._scopes[-1], ast.ClassDef)
            if not (allow_magic_methods and in_class and name in MAGIC_METHODS):
                self.error(node, refusals.name_advice(name))
        elif name.startswith("_") and name.endswith("_"):
            self.error(node, refusals.name_advice(name))

    # Names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.id in refusals.BUILTINS and node.id not in self._bound:
            self.error(node, f"`{node.id}` is not available: {refusals.BUILTINS[node.id]}")
        elif isinstance(node.ctx, ast.Load) and node.id == "super" and node.id not in self._bound:
            self.error(node, "`super` can be used as `super().method(…)` only")
        self.check_name(node, node.id)
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        for name in node.names:
            self.check_name(node, name)
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        for name in node.names:
            self.check_name(node, name)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        if node.arg is not None:
            self.check_name(node, node.arg)
        return self.node_contents_visit(node)

    # Attributes, items

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        loaded = isinstance(node.ctx, ast.Load)
        if loaded and _is_super(node.value) and "super" not in self._bound:
            return self._super_attribute(node)
        if loaded and node.attr in _READABLE:
            return _call(node, _READABLE[node.attr], self.visit(node.value))
        if node.attr.startswith("_") or node.attr in INSPECT_ATTRIBUTES:
            self.error(node, refusals.attribute_advice(node.attr))
        value = self.visit(node.value)
        if loaded:
            return _call(node, "_getattr_", value, ast.Constant(node.attr))
        node.value = _call(node, "_write_attribute_", value, ast.Constant(node.attr))
        return node

    def _super_attribute(self, node: ast.Attribute) -> ast.AST:
        method, owner = (self._scopes[-1], self._scopes[-2]) if len(self._scopes) > 1 else (None, None)
        if not (isinstance(method, ast.FunctionDef) and isinstance(owner, ast.ClassDef)):
            self.error(node, "`super()` works inside of a method only")
            return node
        first = [*method.args.posonlyargs, *method.args.args]
        if not first:
            self.error(node, "`super()` works inside of a method with a first argument (self) only")
            return node
        if node.attr.startswith("_") and node.attr != "__init__":
            self.error(node, refusals.attribute_advice(node.attr))
        # The compiler gives every function of a class body the cell `__class__` when it is named.
        here = [ast.Name("__class__", ast.Load()), ast.Name(first[0].arg, ast.Load())]
        return _call(node, "_super_", *here, ast.Constant(node.attr))

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        value, index = self.visit(node.value), self.visit(node.slice)
        if isinstance(node.ctx, ast.Load):
            return _call(node, "_getitem_", value, index)
        node.value, node.slice = _call(node, "_write_", value), index
        return node

    # Assignments

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        return self.node_contents_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """`x += 1`, `d["a"] += 1` and `thing.x += 1`, each with its target evaluated once.

        The object comes out of a guard that lets only those through whose items (attributes) may be both
        read and written, so that the statement itself can stay.
        """
        target, node.value = node.target, self.visit(node.value)
        if isinstance(target, ast.Attribute):
            if target.attr.startswith("_") or target.attr in INSPECT_ATTRIBUTES:
                self.error(target, refusals.attribute_advice(target.attr))
            name = ast.Constant(target.attr)
            target.value = _call(target, "_augment_attribute_", self.visit(target.value), name)
        elif isinstance(target, ast.Subscript):
            target.value = _call(target, "_write_", self.visit(target.value))
            target.slice = self.visit(target.slice)
        else:
            self.check_name(target, target.id)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """`x: int = 1` is `x = 1`; the annotation is not evaluated."""
        target = self.visit(node.target)
        if node.value is None:
            new: ast.stmt = ast.Pass()
        else:
            new = ast.Assign(targets=[target], value=self.visit(node.value))
        copy_locations(new, node)
        return new

    # Loops and comprehensions: iteration is unguarded (see the module's docstring)

    def guard_iter(self, node: Any) -> Any:
        if isinstance(node, ast.comprehension):
            node.is_async = 0
        return self.node_contents_visit(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.visit(_renamed(node, ast.For))  # type: ignore[no-any-return]

    def visit_Await(self, node: ast.Await) -> ast.AST:
        """Calls of `ctx` wait by themselves: `await` changes nothing."""
        return self.visit(node.value)  # type: ignore[no-any-return]

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return self.node_contents_visit(node)

    # Exceptions

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.check_name(node, node.name)
        handler: ast.AST = self.node_contents_visit(node)
        if node.type is None:
            # A bare `except` would catch the limits, too.
            node.type = ast.Name("_any_error_", ast.Load(), lineno=node.lineno, col_offset=node.col_offset)
            ast.fix_missing_locations(node)
        return handler

    def visit_With(self, node: ast.With) -> ast.AST:
        self.not_allowed(node)
        return node

    # Functions and classes

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.check_name(node, node.name, allow_magic_methods=True)
        self.check_function_argument_names(node)
        node.returns = None
        node.decorator_list = [self.visit(decorator) for decorator in node.decorator_list]
        node.args = self.visit(node.args)
        for parameter in getattr(node, "type_params", ()):
            self.not_allowed(parameter)
        self._scopes.append(node)
        node.body = self._visit_body(node.body)
        self._scopes.pop()
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self.visit_FunctionDef(_renamed(node, ast.FunctionDef))

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.check_function_argument_names(node)
        node.args = self.visit(node.args)
        self._scopes.append(node)
        node.body = self.visit(node.body)
        self._scopes.pop()
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.check_name(node, node.name)
        for keyword in node.keywords:
            self.error(keyword, "a class may have base classes only: leave the keyword arguments out")
        for parameter in getattr(node, "type_params", ()):
            self.not_allowed(parameter)
        node.decorator_list = [self.visit(decorator) for decorator in node.decorator_list]
        node.bases = [self.visit(base) for base in node.bases]
        self._scopes.append(node)
        node.body = self._visit_body(node.body)
        self._scopes.pop()
        metaclass = ast.keyword(arg="metaclass", value=ast.Name("__metaclass__", ast.Load()))
        copy_locations(metaclass, node)
        node.keywords = [metaclass]
        return node

    def _visit_body(self, body: list[ast.stmt]) -> list[ast.stmt]:
        new: list[ast.stmt] = []
        for statement in body:
            visited = self.visit(statement)
            new.extend(visited if isinstance(visited, list) else [visited])
        return new

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = self._visit_body(node.body)
        return node

    # Imports never reach the import system: they become calls that hand out facades.

    def visit_Import(self, node: ast.Import) -> Any:
        return [self._import(node, alias) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        module = "." * node.level + (node.module or "")
        return [self._import(node, alias, module) for alias in node.names]

    def _import(self, node: ast.stmt, alias: ast.alias, source: str | None = None) -> ast.stmt:
        module = alias.name if source is None else source
        if module not in self._modules:
            self.error(node, refusals.import_advice(module, self._modules))
        if alias.name == "*":
            self.error(node, "`import *` is not allowed: name what you need")
        name = alias.asname or alias.name
        self.check_name(node, name)
        self.check_name(node, alias.name)
        wanted = [ast.Constant(module), ast.Constant(name)]
        if source is not None:
            wanted.append(ast.Constant(alias.name))
        new = ast.Assign(targets=[ast.Name(name, ast.Store())], value=_call(node, "_import_", *wanted))
        copy_locations(new, node)
        return new


def _is_super(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "super"
        and not node.args
        and not node.keywords
    )


def _renamed(node: ast.AST, kind: type[_Node]) -> _Node:
    """The same node as another kind with the same fields (async → plain)."""
    new = kind(**{name: getattr(node, name) for name in node._fields})
    ast.copy_location(new, node)
    return new


def bound_names(tree: ast.AST) -> Iterable[str]:
    """Every name that a script binds, in any of its scopes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias):
            yield node.asname or node.name
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name
