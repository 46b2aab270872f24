"""Putting texts in the places of references, and values in the places of variables.

What is put in is never looked at again: whatever a module, a variable, a model or a user wrote, it stands
there as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shared.schemas.template import Piece, Reference, Text
from workers.chat.modules.execution.simple_executor import MAX_TEXT, MISSING, SimpleModuleExecutor, shown
from workers.chat.modules.resolver.node import Node
from workers.chat.modules.resolver.result_models import ModuleWarning, WarningType
from workers.chat.modules.resolver.session_manager import ResolutionSession


class TemplateResolver:
    """Makes the texts of a turn's modules, each once, and the prompts of its stages.

    Args:
        session: the turn.
        published: what a module's run of this turn published; ``None`` when it has not run well.
    """

    def __init__(
        self, session: ResolutionSession, published: Callable[[str], Mapping[str, Any] | None]
    ) -> None:
        self._session = session
        self._published = published
        self._texts: dict[str, str] = {}
        #: By name and stage, of what a later stage completes.
        self._unfinished: dict[tuple[str, int], str] = {}
        self._simple = SimpleModuleExecutor()

    def text(self, name: str, stage: int) -> str:
        """What stands in the place of ``@name``, once its dependencies have run."""
        known = self._texts.get(name)
        if known is None:
            known = self._texts[name] = self._make(self._session.graph.nodes[name], stage, self.text)
        return known

    def called_text(self, name: str, stage: int) -> str:
        """What ``run_module`` gives: the text of a run of this turn, be it one after the answer."""
        node = self._session.graph.nodes[name]
        if not node.module.runs_after_answer:
            return self.text(name, stage)
        return self._make(node, stage, self.text, fresh=True)

    def prompt(self, stage: int) -> str:
        """The persona's template after ``stage``; what a later stage makes stands there as it was written.

        Variables are those at the end of the stage.
        """
        graph = self._session.graph
        visible = self._session.tracker.start
        implicit = self._session.stage_values(stage)
        modules = graph.turn.modules

        def value(name: str) -> Any:
            return implicit[name] if name in implicit else visible.get(name, MISSING)

        def text(reference: Reference) -> str:
            node = graph.nodes.get(reference.name)
            if node is not None and node.live:
                return self._text_after(reference.name, stage)
            module = modules.get(reference.name)
            return reference.source if module is None else module.fallback or ""

        return self._simple.execute(
            graph.template, text, value, lambda piece: self._too_long(None, piece, stage)
        )

    def _text_after(self, name: str, stage: int) -> str:
        """The text of a module after ``stage``, as far as it can be made by then."""
        node = self._session.graph.nodes[name]
        if node.stage <= stage:
            return self.text(name, stage)
        module = node.module
        if module.is_scripted and not module.runs_after_answer:
            return f"@{name}"
        # Made once, too: contents that show one another several times would be gone through ever more often.
        text = self._unfinished.get((name, stage))
        if text is None:
            text = self._unfinished[name, stage] = self._make(node, stage, self._text_after)
        return text

    def _make(
        self, node: Node, stage: int, text_of: Callable[[str, int], str], *, fresh: bool = False
    ) -> str:
        session, module = self._session, node.module
        own: Mapping[str, Any] = {}
        if module.is_scripted:
            published: Mapping[str, Any] | None
            if module.runs_after_answer and not fresh:
                state = session.turn.states.get(module.id)
                published = own = {} if state is None else state.variables
                if state is None:
                    return module.fallback or ""
            else:
                published, own = self._published(module.name), session.tracker.own(module.name)
            if published is None:
                return module.fallback or ""
            if not module.content:
                return "\n".join(shown(value) for value in published.values())
        if len(node.template.pieces) == 1 and isinstance(node.template.pieces[0], Text):
            return node.template.pieces[0].text
        implicit: Mapping[str, Any] | None = None
        visible: Mapping[str, Any] | None = None

        def value(name: str) -> Any:
            nonlocal implicit, visible
            if name in own:
                return own[name]
            if implicit is None:
                implicit = session.attributes(module, stage)
            if name in implicit:
                return implicit[name]
            if visible is None:
                visible = session.tracker.visible(session.dependencies(module.name))
            return visible.get(name, MISSING)

        modules = session.turn.modules
        children = set(node.children)

        def text(reference: Reference) -> str:
            name = reference.name
            if name in children:
                return text_of(name, stage)
            other = modules.get(name)
            return reference.source if other is None else other.fallback or ""

        return self._simple.execute(
            node.template, text, value, lambda piece: self._too_long(module.name, piece, stage)
        )

    def _too_long(self, name: str | None, piece: Piece, stage: int) -> None:
        where = "the persona's template" if name is None else f"the content of {name}"
        message = (
            f"{piece.source[:60]} is left out of {where}: "
            f"the text would be longer than {MAX_TEXT} characters."
        )
        self._session.told.warn([ModuleWarning(name, WarningType.TEXT_TOO_LONG, message, stage)])
