"""What can be told of a template without running anything: where its references lead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from shared.database.models import Module
from shared.schemas import template
from shared.schemas.template import Template
from shared.schemas.templates import TemplateProblem, TemplateValidated

#: So many problems are told; who mends them hears of the next.
MAX_PROBLEMS = 100
#: So many references from module to module are followed: each takes time of the event loop.
MAX_EDGES = 10_000


def check_template(text: str, modules: Mapping[str, Module], max_depth: int) -> TemplateValidated:
    """What is right and wrong with a template.

    Args:
        text: the template.
        modules: by name, whatever it reaches.
        max_depth: how deep contents may lie in one another, the template's own references being depth 1.
    """
    parsed = template.parse(text)
    walk = _Walk(parsed, modules, max_depth)
    return TemplateValidated(
        is_valid=not walk.problems,
        module_references=list(parsed.names),
        existing_modules=[name for name in parsed.names if name in modules],
        missing_modules=[name for name in parsed.names if name not in modules],
        invalid_module_names=list(dict.fromkeys(one.text for one in parsed.misspelt)),
        variables=list(parsed.variables),
        problems=sorted(walk.problems, key=lambda problem: (problem.line, problem.column)),
        total=len(parsed.references),
    )


@dataclass
class _Walk:
    """The ways that lead from a template's references; each module is gone through once."""

    template: Template
    modules: Mapping[str, Module]
    max_depth: int
    problems: list[TemplateProblem] = field(default_factory=list)
    #: What each module's content refers to, circles left out; dependencies come first.
    contents: dict[str, list[str]] = field(default_factory=dict)
    edges_left: int = MAX_EDGES
    #: What is gone through: a name in the template.
    root: str = ""

    def __post_init__(self) -> None:
        self.source = self.template.source
        self.firsts = {reference.name: reference.at for reference in reversed(self.template.references)}
        for misspelt in self.template.misspelt:
            message = (
                f"@{misspelt.text} is no reference: {misspelt.reason}; write \\@ for an @ that begins none"
            )
            self._tell("invalid_name", message, [misspelt.text], misspelt.at)
        for name in self.template.names:
            if self._leads_on([], name) and name not in self.contents:
                self._visit(name)
        self._check_depth()

    def _visit(self, root: str) -> None:
        self.root = root
        path: dict[str, Iterator[tuple[str, bool]]] = {root: self._edges(root)}
        shown: dict[str, list[str]] = {root: []}
        while path:
            name = next(reversed(path))
            for target, in_content in path[name]:
                if target in path:
                    circle = [*list(path)[list(path).index(target) :], target]
                    verb = "refers to" if in_content else "runs"
                    message = f"{name} {verb} {target}, and that is a circle: {' > '.join(circle)}"
                    self._tell("circular_dependency", message, [*path, target])
                elif self._leads_on(list(path), target):
                    if in_content:
                        shown[name].append(target)
                    if target not in self.contents:
                        path[target], shown[target] = self._edges(target), []
                        break
            else:
                del path[name]
                self.contents[name] = shown[name]

    def _edges(self, name: str) -> Iterator[tuple[str, bool]]:
        """What a module leads to, and whether its content does or its script."""
        if not self.edges_left:
            return
        module = self.modules[name]
        edges = [(other, True) for other in template.names(module.content or "")]
        edges += [(other, False) for other in (module.script_analysis or {}).get("module_names", ())]
        for edge in edges:
            if not self.edges_left:
                message = f"modules refer to one another more than {MAX_EDGES} times; a turn follows no more"
                self._tell("too_many_references", message, list(dict.fromkeys([self.root, name])))
                return
            self.edges_left -= 1
            yield edge

    def _leads_on(self, path: list[str], name: str) -> bool:
        """Whether there is an active module of the name; tells when there is none."""
        module = self.modules.get(name)
        if module is not None and module.is_active:
            return True
        where = f"{path[-1]} names" if path else "the template names"
        if module is None:
            self._tell("module_not_found", f"{where} {name}, and there is no such module", [*path, name])
        else:
            self._tell("module_inactive", f"{where} {name}, which is switched off", [*path, name])
        return False

    def _check_depth(self) -> None:
        """Tell of references that lie deeper than the limit, on the longest way that leads to them."""
        ways: dict[str, list[str]] = {name: [name] for name in self.template.names if name in self.contents}
        for name in reversed(self.contents):
            for child in self.contents[name] if name in ways else ():
                way = [*ways[name], child]
                if len(way) > self.max_depth:
                    message = f"modules lie deeper than {self.max_depth} in one another: {' > '.join(way)}"
                    self._tell("max_depth_exceeded", message, way)
                elif len(way) > len(ways.get(child, ())):
                    ways[child] = way

    def _tell(self, kind: str, message: str, path: list[str], at: int | None = None) -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            return
        _, line, column = template.position(self.source, self.firsts[path[0]] if at is None else at)
        self.problems.append(
            TemplateProblem.model_validate(
                {
                    "type": kind,
                    "message": message,
                    "name": path[-1],
                    "line": line,
                    "column": column,
                    "path": path,
                }
            )
        )
