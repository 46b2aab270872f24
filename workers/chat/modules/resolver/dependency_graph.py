"""What a turn's modules need of one another: found, and freed of circles, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from shared.schemas.template import position
from workers.chat.modules.module import Module, TurnModules
from workers.chat.modules.resolver.node import Node
from workers.chat.modules.resolver.order import limit_depth, limit_nesting, stated_order
from workers.chat.modules.resolver.result_models import ModuleWarning, WarningType
from workers.chat.modules.template_parser import TemplateParser
from workers.chat.modules.trigger_matcher import ALWAYS, TriggerMatch

#: So many warnings tell of one graph; what more there are is counted.
MAX_WARNINGS = 50
#: So many references from module to module are followed in one turn: each takes time of the event loop.
MAX_EDGES = 10_000
#: Names that a message shows of a path.
_SHOWN = 20


class DependencyGraph:
    """The modules of a turn, and the edges between them.

    A module refers to others in its content, and its script may run others. Edges that close a circle, or
    lead deeper than the limit, are taken out and reported; what is left has an order.

    Args:
        turn: the modules.
        triggers: what became of the triggers; a module that is not in it has none.
        max_depth: how deep contents may lie in one another, the template's own references being depth 1.

    Attributes:
        nodes: by name, the modules whose content is looked at.
        order: every name of ``turn.modules``, in the stated order.
        skipped: modules that are referred to and take no part, with the reason.
        warnings: what was found wrong.
    """

    def __init__(
        self,
        turn: TurnModules,
        triggers: Mapping[str, TriggerMatch],
        max_depth: int,
        parser: TemplateParser | None = None,
    ) -> None:
        self.turn = turn
        self.triggers = triggers
        self.nodes: dict[str, Node] = {}
        self.skipped: dict[str, str] = {}
        self.warnings: list[ModuleWarning] = []
        self._max_depth = max_depth
        self._parser = parser or TemplateParser()
        self._unknown: set[str] = set()
        self._untold = 0
        self._edges_left = MAX_EDGES
        #: Of the persona's template (None) and of contents: the text, and where each name first stands in it.
        self._places: dict[str | None, tuple[str, dict[str, int]]] = {}
        self._finished: list[str] = []  # dependencies first
        self.template = self._parser.parse(turn.template)
        self.roots = self._roots()
        for name in self.roots:
            self._visit(name)
        self._limit_depth(self._finished, self.roots)
        reached = len(self._finished)
        for name in self._callable():
            self._visit(name, quiet=True)
        self._limit_depth(self._finished[reached:], ())
        self._mark(self.roots)
        for name in [name for name in self.skipped if name in self.nodes and self.nodes[name].live]:
            del self.skipped[name]
        self._stages()
        self.order = stated_order(turn.modules, self.nodes)
        if self._untold:
            message = f"{self._untold} more warnings about references are left out; correct those told first."
            self.warnings.append(ModuleWarning(None, WarningType.MORE_WARNINGS, message, 1))

    def trigger(self, name: str) -> TriggerMatch:
        """What became of the trigger of a module."""
        return self.triggers.get(name, ALWAYS)

    def takes_part(self, module: Module) -> bool:
        """Whether the module's own fields let references to it show its text.

        A module that runs after the answer shows its stored output whatever was said; its trigger is
        looked at when it is to run.
        """
        if not module.is_active:
            return False
        return (
            module.runs_after_answer
            or module.name in self.turn.requested
            or self.trigger(module.name).matched
        )

    def below(self, name: str, *, through_unstored: bool = False) -> list[str]:
        """Everything that the content of ``name`` leads to, in the stated order.

        The content of a module that runs after the answer is shown when it has stored output; without,
        nothing behind it counts, unless ``through_unstored``.
        """
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            node = self.nodes[waiting.pop()]
            module = node.module
            if (
                module.runs_after_answer
                and not through_unstored
                and module.name != name
                and module.id not in self.turn.states
            ):
                continue
            for child in node.children:
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
        return sorted(seen, key=lambda child: self.nodes[child].rank)

    def in_order(self, names: Iterable[str]) -> list[str]:
        """Names of nodes, in the stated order."""
        return sorted(names, key=lambda name: self.nodes[name].rank)

    def _roots(self) -> list[str]:
        roots: dict[str, None] = {}
        for name in self.template.names:
            module = self._known(name, None)
            if module is None:
                continue
            if module.runs_on_demand and name not in self.turn.requested:
                self.skipped[name] = "not_requested"
            elif not self.takes_part(module):
                self._skip(module)
            else:
                roots[name] = None
        for name in sorted(self.turn.requested):
            module = self.turn.modules.get(name)
            if module is None:
                self._warn(
                    name,
                    WarningType.MODULE_NOT_FOUND,
                    f"The client asked for {name}; there is no such module.",
                )
            elif not module.runs_on_demand:
                self._warn(
                    name,
                    WarningType.NOT_ON_DEMAND,
                    f"The client asked for {name}, which is not ON_DEMAND; it runs when its context says so.",
                )
            elif not module.is_active:
                self._skip(module)
            else:
                roots[name] = None
        return list(roots)

    def _known(self, name: str, referrer: str | None) -> Module | None:
        module = self.turn.modules.get(name)
        if module is None and name not in self._unknown:
            self._unknown.add(name)
            if self._is_full():
                return None
            where = "the persona's template" if referrer is None else f"the content of {referrer}"
            line, column = self._place(name, referrer)
            self._warn(
                name,
                WarningType.MODULE_NOT_FOUND,
                f"There is no module {name}, which {where} refers to in line {line}, column {column}. "
                "The reference stays as it is; write \\@ for an @ that begins none.",
            )
        return module

    def _place(self, name: str, referrer: str | None) -> tuple[int, int]:
        """Line and column of the first reference to ``name``."""
        if referrer not in self._places:
            template = self.template if referrer is None else self.nodes[referrer].template
            firsts = {reference.name: reference.at for reference in reversed(template.references)}
            self._places[referrer] = template.source, firsts
        source, firsts = self._places[referrer]
        _, line, column = position(source, firsts[name])
        return line, column

    def _skip(self, module: Module) -> None:
        self.skipped[module.name] = "trigger" if module.is_active else "inactive"
        self._judge_trigger(module)

    def _judge_trigger(self, module: Module) -> None:
        if module.name not in self.triggers:
            return
        for warning in self.trigger_warnings(module, 1):
            self._add(warning)

    def trigger_warnings(self, module: Module, stage: int) -> list[ModuleWarning]:
        """What is wrong with the trigger of a module."""
        name, trigger = module.name, self.trigger(module.name)
        if trigger.timed_out:
            message = (
                f"The search for the trigger of {name} took too long and counts as no match; "
                "make its pattern simpler."
            )
            return [ModuleWarning(name, WarningType.TRIGGER_TIMEOUT, message, stage)]
        if trigger.invalid is not None:
            message = f"The trigger of {name} {trigger.invalid}. It was searched for as it stands."
            return [ModuleWarning(name, WarningType.INVALID_TRIGGER, message, stage)]
        return []

    def _visit(self, root: str, *, quiet: bool = False) -> None:
        """Walk from ``root``, dependencies first, and take out what would close a circle."""
        if root in self.nodes:
            return
        path: dict[str, Iterator[tuple[str, bool]]] = {root: self._open(root, quiet)}
        while path:
            name = next(reversed(path))
            node = self.nodes[name]
            for target, by_call in path[name]:
                if target in path:
                    circle = _circle(list(path), target)
                    if by_call:
                        node.refused[target] = f"modules run each other in a circle: {circle}"
                    else:
                        node.left_out.add(target)
                    if not quiet:
                        self._warn(
                            name,
                            WarningType.CIRCULAR_DEPENDENCY,
                            f"{name} runs {target}, and that is a circle: {circle}. The call is refused."
                            if by_call
                            else f"{name} refers to {target}, and that is a circle: {circle}. "
                            f"The fallback of {target} stands there.",
                        )
                    continue
                (node.calls if by_call else node.children).append(target)
                if target not in self.nodes:
                    path[target] = self._open(target, quiet)
                    break
            else:
                del path[name]
                self._finished.append(name)

    def _open(self, name: str, quiet: bool) -> Iterator[tuple[str, bool]]:
        module = self.turn.modules[name]
        node = self.nodes[name] = Node(module)
        if module.content:
            node.template = self._parser.parse(module.content)
        if not quiet and not module.runs_after_answer:
            self._judge_trigger(module)
        return iter(self._edges(node, quiet))

    def _edges(self, node: Node, quiet: bool) -> list[tuple[str, bool]]:
        edges: list[tuple[str, bool]] = []
        for name in node.template.names:
            module = self.turn.modules.get(name) if quiet else self._known(name, node.module.name)
            if module is None:
                continue
            if self.takes_part(module):
                edges.append((name, False))
            elif not quiet:
                self._skip(module)
        if node.module.is_scripted:
            for name in dict.fromkeys(node.module.module_names):
                module = self.turn.modules.get(name)
                if module is not None and module.is_active:
                    edges.append((name, True))
        followed, beyond = edges[: self._edges_left], edges[self._edges_left :]
        self._edges_left -= len(followed)
        if beyond:
            self._leave_out(node, beyond, quiet)
        return followed

    def _leave_out(self, node: Node, edges: Iterable[tuple[str, bool]], quiet: bool) -> None:
        """Edges over the limit are not followed."""
        for name, by_call in edges:
            if by_call:
                node.refused[name] = f"the modules of a turn name one another more than {MAX_EDGES} times"
            else:
                node.left_out.add(name)
        if not quiet:
            self._warn(
                node.module.name,
                WarningType.TOO_MANY_REFERENCES,
                f"The modules of this turn refer to one another more than {MAX_EDGES} times. References of "
                f"{node.module.name} beyond that are not followed, and fallbacks stand there.",
            )

    def limit_nesting(self, started: Iterable[str], limit: int) -> None:
        """Refuse calls that nest deeper than the limit; the pipeline itself runs those ``started``."""
        limit_nesting(self.nodes, self._finished, started, limit)

    def _limit_depth(self, finished: Sequence[str], roots: Iterable[str]) -> None:
        for name, child, way in limit_depth(self.nodes, finished, roots, self._max_depth):
            self._warn(
                name,
                WarningType.MAX_DEPTH_EXCEEDED,
                f"{name} refers to {child} deeper than {self._max_depth} modules in one another: "
                f"{' > '.join(way)}. The fallback of {child} stands there.",
            )

    def _callable(self) -> list[str]:
        """Modules that only ``run_module`` with a computed name could run: none when no script runs."""
        if not any(node.module.is_scripted for node in self.nodes.values()):
            return []
        return sorted(
            name for name, module in self.turn.modules.items() if module.is_active and name not in self.nodes
        )

    def _mark(self, roots: Iterable[str]) -> None:
        """Mark what is reached, and of that what is made before the answer."""
        waiting = [(name, True) for name in roots]
        while waiting:
            name, live = waiting.pop()
            node = self.nodes[name]
            if node.reached and (node.live or not live):
                continue
            node.reached = True
            node.live = node.live or live
            if live and node.module.runs_after_answer:
                # Without stored output its fallback stands in its place, and nothing of its content is shown.
                live = node.module.id in self.turn.states
            waiting.extend((child, live) for child in node.children)

    def _stages(self) -> None:
        for name in self._finished:
            node = self.nodes[name]
            module = node.module
            if (module.is_scripted and module.requires_ai_inference and not module.runs_after_answer) or any(
                self.nodes[other].stage == 2 for other in (*node.children, *node.calls)
            ):
                node.stage = 2

    def _warn(self, name: str, kind: WarningType, message: str) -> None:
        self._add(ModuleWarning(name, kind, message, 1))

    def _add(self, warning: ModuleWarning) -> None:
        if warning not in self.warnings and not self._is_full():
            self.warnings.append(warning)

    def _is_full(self) -> bool:
        """Whether there is no room for another warning, which then is only counted."""
        full = len(self.warnings) >= MAX_WARNINGS
        self._untold += full
        return full


def _circle(path: list[str], target: str) -> str:
    """The names of a circle, from where it is closed round to there again."""
    circle = [*path[path.index(target) :], target]
    if len(circle) > _SHOWN:
        circle[_SHOWN // 2 : -_SHOWN // 2] = ["…"]
    return " > ".join(circle)
