"""Which functions of `ctx` a script calls, also through other names, followed through its assignments.

Every name, parameter, attribute and return value has a set of tokens that it may stand for; statements are
gone through until no set grows. Order and conditions are ignored, so the answer errs towards "is called".
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Any

from workers.sandbox.language.words import words

#: What a value may be: ("ctx", None), ("fn", name of a ctx function), ("def", node), ("class", node),
#: ("text", a string literal that could name a module or a function), ("made", None) for a text put together.
Token = tuple[str, Any]
Tokens = frozenset[Token]

_NONE: Tokens = frozenset()
_CTX: Token = ("ctx", None)
_MADE: Token = ("made", None)
_NAME = re.compile(r"@?[a-z][a-z0-9_]{0,49}")
_PASSES = 12
#: Builtins that look at a function without calling it.
_LOOK_ONLY = frozenset(words("print isinstance issubclass hasattr callable str repr bool type len"))
_FILL = frozenset(words("append appendleft add insert update setdefault extend"))
#: Names that mean something before the script binds them.
_GIVEN: dict[str, Token] = {
    "ctx": _CTX,
    "generate": ("fn", "generate"),
    "reflect": ("fn", "reflect"),
}


@dataclass
class Calls:
    """Functions of `ctx` that are called, and the literal names given to `run_module`."""

    functions: set[str] = field(default_factory=set)
    module_names: set[str] = field(default_factory=set)


class _Scope:
    def __init__(self, parent: _Scope | None, is_class: bool = False) -> None:
        self.parent = parent
        self.is_class = is_class
        self.values: dict[str, Tokens] = {}
        self.outer: dict[str, _Scope] = {}

    def root(self) -> _Scope:
        return self if self.parent is None else self.parent.root()

    def holder(self, name: str) -> _Scope | None:
        """The scope that binds a name, seen from here; methods do not see their class's names."""
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.outer:
                return scope.outer[name]
            if name in scope.values and (scope is self or not scope.is_class):
                return scope
            scope = scope.parent
        return None


def called_functions(tree: ast.Module) -> Calls:
    """Follow a script's values until nothing new is found."""
    flow = _Flow()
    module = _Scope(None)
    for _ in range(_PASSES):
        flow.changed = False
        flow.body(tree.body, module)
        if not flow.changed:
            return flow.calls
    # Too tangled to follow to its end: whatever it mentions counts as called.
    for node in ast.walk(tree):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name in {"generate", "reflect"}:
            flow.calls.functions.add(name)
    return flow.calls


class _Flow:
    def __init__(self) -> None:
        self.calls = Calls()
        self.changed = False
        self._scopes: dict[ast.AST, _Scope] = {}
        self._attributes: dict[str, Tokens] = {}
        self._methods: set[ast.AST] = set()

    # Statements

    def body(self, statements: list[ast.stmt], scope: _Scope) -> None:
        for statement in statements:
            self._statement(statement, scope)

    def _statement(self, node: ast.AST, scope: _Scope) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self._function(node, scope)
        elif isinstance(node, ast.ClassDef):
            self._class(node, scope)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            for name in node.names:
                outer = scope.root() if isinstance(node, ast.Global) else None
                if outer is None and scope.parent is not None:
                    outer = scope.parent.holder(name)
                if outer is not None:
                    scope.outer[name] = outer
        elif isinstance(node, ast.Assign):
            value = self._value(node.value, scope)
            for target in node.targets:
                self._assign(target, node.value, value, scope)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self._assign(node.target, node.value, self._value(node.value, scope), scope)
        elif isinstance(node, ast.AugAssign):
            self._assign(node.target, node.value, self._value(node.value, scope), scope)
        elif isinstance(node, ast.For | ast.AsyncFor):
            self._iterate(node.target, node.iter, scope)
            self.body([*node.body, *node.orelse], scope)
        elif isinstance(node, ast.Return):
            self._return(scope, self._value(node.value, scope) if node.value else _NONE)
        elif isinstance(node, ast.expr):
            self._value(node, scope)
        else:
            for child in ast.iter_child_nodes(node):
                self._statement(child, scope)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: _Scope) -> None:
        self._enter(node, scope)
        if scope.is_class and not any(
            isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list
        ):
            self._methods.add(node)
        value: Tokens = frozenset({("def", node)})
        for decorator in reversed(node.decorator_list):
            value |= self._apply(self._value(decorator, scope), decorator, [value], {}, scope)
        self._bind(node.name, value, scope)
        self.body(node.body, self._scopes[node])

    def _enter(self, node: Any, scope: _Scope) -> None:
        """Give a function its scope and its parameters their defaults."""
        inner = self._scopes.get(node)
        if inner is None:
            inner = self._scopes[node] = _Scope(scope)
            inner.values["return"] = _NONE
            arguments = node.args
            for parameter in [*_parameters(node), arguments.vararg, arguments.kwarg]:
                if parameter is not None:
                    inner.values[parameter.arg] = _NONE
        positional = [*node.args.posonlyargs, *node.args.args]
        defaults = node.args.defaults
        for parameter, default in zip(positional[len(positional) - len(defaults) :], defaults, strict=True):
            self._bind(parameter.arg, self._value(default, scope), inner)
        for parameter, given in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            if given is not None:
                self._bind(parameter.arg, self._value(given, scope), inner)

    def _class(self, node: ast.ClassDef, scope: _Scope) -> None:
        for expression in [*node.bases, *node.decorator_list]:
            self._value(expression, scope)
        inner = self._scopes.setdefault(node, _Scope(scope, is_class=True))
        self._bind(node.name, frozenset({("class", node)}), scope)
        self.body(node.body, inner)

    def _return(self, scope: _Scope, value: Tokens) -> None:
        self._bind("return", value, scope)

    # Binding

    def _bind(self, name: str, value: Tokens, scope: _Scope) -> None:
        holder = scope.outer.get(name, scope)
        old = holder.values.get(name)
        if old is None or not value <= old:
            holder.values[name] = value if old is None else old | value
            self.changed = True
        if holder.is_class:
            self._bind_attribute(name, value)

    def _bind_attribute(self, name: str, value: Tokens) -> None:
        old = self._attributes.get(name, _NONE)
        if not value <= old:
            self._attributes[name] = old | value
            self.changed = True

    def _assign(self, target: ast.expr, source: ast.expr | None, value: Tokens, scope: _Scope) -> None:
        if isinstance(target, ast.Name):
            self._bind(target.id, value, scope)
        elif isinstance(target, ast.Attribute):
            self._value(target.value, scope)
            self._bind_attribute(target.attr, value)
        elif isinstance(target, ast.Subscript):
            self._value(target.slice, scope)
            self._fill(target.value, value, scope)
        elif isinstance(target, ast.Starred):
            self._assign(target.value, None, value, scope)
        elif isinstance(target, ast.Tuple | ast.List):
            parts: list[ast.expr] | None = None
            if isinstance(source, ast.Tuple | ast.List) and len(source.elts) == len(target.elts):
                parts = source.elts
            if parts is not None and any(isinstance(p, ast.Starred) for p in [*parts, *target.elts]):
                parts = None
            for index, inner in enumerate(target.elts):
                part = parts[index] if parts is not None else None
                self._assign(inner, part, value if part is None else self._value(part, scope), scope)

    def _fill(self, container: ast.expr, value: Tokens, scope: _Scope) -> None:
        """Something is put into a container: what names the container may stand for it, too."""
        if isinstance(container, ast.Name):
            holder = scope.holder(container.id)
            if holder is not None:
                self._bind(container.id, value, holder)
        elif isinstance(container, ast.Attribute):
            self._bind_attribute(container.attr, value)
        elif isinstance(container, ast.Subscript | ast.Call):
            inner = container.value if isinstance(container, ast.Subscript) else container.func
            self._fill(inner, value, scope)

    def _iterate(self, target: ast.expr, source: ast.expr, scope: _Scope) -> None:
        self._assign(target, None, self._value(source, scope), scope)

    # Expressions

    def _value(self, node: ast.expr, scope: _Scope) -> Tokens:
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str) and _NAME.fullmatch(node.value):
                return frozenset({("text", node.value)})
            return _NONE
        if isinstance(node, ast.Name):
            holder = scope.holder(node.id)
            if holder is not None:
                return holder.values.get(node.id, _NONE)
            return frozenset({_GIVEN[node.id]}) if node.id in _GIVEN else _NONE
        if isinstance(node, ast.Attribute):
            return self._attribute(self._value(node.value, scope), node.attr)
        if isinstance(node, ast.NamedExpr):
            value = self._value(node.value, scope)
            self._assign(node.target, node.value, value, scope)
            return value
        if isinstance(node, ast.Lambda):
            self._enter(node, scope)
            self._return(self._scopes[node], self._value(node.body, self._scopes[node]))
            return frozenset({("def", node)})
        if isinstance(node, ast.Call):
            return self._call(node, scope)
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            inner = self._scopes.setdefault(node, _Scope(scope))
            for loop in node.generators:
                self._iterate(loop.target, loop.iter, inner)
                for condition in loop.ifs:
                    self._value(condition, inner)
            if isinstance(node, ast.DictComp):
                return self._value(node.key, inner) | self._value(node.value, inner)
            return self._value(node.elt, inner)
        if isinstance(node, ast.Compare | ast.JoinedStr):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self._value(child, scope)
            return frozenset({_MADE}) if isinstance(node, ast.JoinedStr) else _NONE
        if isinstance(node, ast.Yield) and node.value is not None:
            self._return(scope, self._value(node.value, scope))
            return _NONE
        children = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        value = _NONE.union(*[self._value(child, scope) for child in children])
        return value | {_MADE} if isinstance(node, ast.BinOp) else value

    def _call(self, node: ast.Call, scope: _Scope) -> Tokens:
        args = [self._value(argument, scope) for argument in node.args]
        named = {keyword.arg or "**": self._value(keyword.value, scope) for keyword in node.keywords}
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "getattr" and scope.holder("getattr") is None and len(args) > 1:
            return self._getattr(node, args)
        if not isinstance(node.func, ast.Attribute):
            return self._apply(self._value(node.func, scope), node.func, args, named, scope)
        # Once: each link of a long chain of calls would double the work otherwise.
        base = self._value(node.func.value, scope)
        value = self._apply(self._attribute(base, node.func.attr), node.func, args, named, scope)
        if node.func.attr in _FILL:
            for given in [*args, *named.values()]:
                self._fill(node.func.value, given, scope)
        return value if _CTX in base else value | base

    def _attribute(self, base: Tokens, name: str) -> Tokens:
        found = self._attributes.get(name, _NONE)
        return found | {("fn", name)} if _CTX in base else found

    def _getattr(self, node: ast.Call, args: list[Tokens]) -> Tokens:
        names = {token[1] for token in args[1] if token[0] == "text"}
        if _MADE in args[1] or not (names or isinstance(node.args[1], ast.Constant)):
            names.add("generate")  # not to be known: taken for the costly one
        value: Tokens = frozenset().union(*(self._attributes.get(name, _NONE) for name in names))
        if _CTX in args[0]:
            value |= {("fn", name) for name in names}
        return value.union(*args[2:])

    def _apply(
        self, callee: Tokens, func: ast.expr, args: list[Tokens], named: dict[str, Tokens], scope: _Scope
    ) -> Tokens:
        given: Tokens = _NONE.union(*args, *named.values())
        value = _NONE
        known = False
        for kind, what in callee:
            if kind == "fn":
                known = True
                self._called(what, args, named)
            elif kind == "def":
                known = True
                self._pass(what, args, named)
                value |= self._scopes[what].values.get("return", _NONE)
            elif kind == "class":
                known = True
                for method in what.body:
                    if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                        self._pass(method, args, named)
        if known:
            return value
        name = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""
        if name not in _LOOK_ONLY and name not in _FILL:
            # Something unseen (map, sorted, a callback's holder …) may call what it is given.
            for kind, what in given:
                if kind == "fn":
                    self._called(what, [], {})
                elif kind == "def" and what in self._scopes:
                    for parameter in _parameters(what):
                        self._bind(parameter.arg, given - {(kind, what)}, self._scopes[what])
                    value |= self._scopes[what].values.get("return", _NONE)
        return value | given

    def _called(self, name: str, args: list[Tokens], named: dict[str, Tokens]) -> None:
        if name == "GenerationError":
            return
        self.calls.functions.add(name)
        if name == "run_module":
            given = args[0] if args else named.get("name", _NONE)
            self.calls.module_names.update(what.removeprefix("@") for kind, what in given if kind == "text")

    def _pass(self, function: Any, args: list[Tokens], named: dict[str, Tokens]) -> None:
        scope = self._scopes.get(function)
        if scope is None:
            return
        positional = [*function.args.posonlyargs, *function.args.args]
        if function in self._methods:
            positional = positional[1:]
        rest = function.args.vararg
        spread = len(args) > len(positional) and rest is not None
        for parameter, value in zip(positional, args, strict=False):
            self._bind(parameter.arg, value, scope)
        if spread and rest is not None:
            self._bind(rest.arg, _NONE.union(*args[len(positional) :]), scope)
        every = _NONE.union(*args, *named.values())
        for parameter in _parameters(function):
            if parameter.arg in named:
                self._bind(parameter.arg, named[parameter.arg], scope)
            elif "**" in named or not args:
                self._bind(parameter.arg, named.get("**", _NONE), scope)
        if function.args.kwarg is not None:
            self._bind(function.args.kwarg.arg, every, scope)


def _parameters(node: Any) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
