"""The variables of a turn's modules: as they were stored, and as the turn changes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from workers.chat.modules.module import Module, TurnModules
from workers.chat.modules.resolver.result_models import StateChange

_NONE: Mapping[str, Any] = MappingProxyType({})


class StateTracker:
    """Holds every module's variables; what a run writes is seen by those that come after it.

    A stage begins with the variables of all modules in one space of names, merged in the stated order, a
    later module's over an earlier one's. A module sees these, and over them the variables of its dependencies
    as they are when it starts. So what it sees does not depend on which of the others has finished.

    Args:
        turn: the stored states.
        changes: what this turn has left already.
    """

    def __init__(self, turn: TurnModules, changes: Iterable[StateChange] = ()) -> None:
        by_id = {module.id: name for name, module in turn.modules.items()}
        self._variables: dict[str, Mapping[str, Any]] = {
            by_id[module_id]: state.variables
            for module_id, state in turn.states.items()
            if module_id in by_id
        }
        self._left: set[str] = set()
        for change in changes:
            if change.module_id in by_id:
                self._variables[by_id[change.module_id]] = change.variables
                self._left.add(by_id[change.module_id])
        self._order: Sequence[str] = ()
        self._start: Mapping[str, Any] | None = None

    def begin_stage(self, order: Sequence[str]) -> None:
        """A stage starts; ``order`` is the stated order of all modules."""
        self._order = order
        self._start = None

    @property
    def start(self) -> Mapping[str, Any]:
        """All variables as the stage began, in one space of names."""
        if self._start is None:
            merged: dict[str, Any] = {}
            if self._variables:
                for name in self._order:
                    merged.update(self._variables.get(name, _NONE))
            self._start = MappingProxyType(merged)
        return self._start

    def own(self, name: str) -> Mapping[str, Any]:
        """The variables of one module."""
        return self._variables.get(name, _NONE)

    def has_run(self, name: str) -> bool:
        """Whether a run of this turn has left something, in this or in an earlier stage."""
        return name in self._left

    def visible(self, dependencies: Iterable[str]) -> Mapping[str, Any]:
        """What a module may read whose dependencies, in the stated order, are these."""
        if not self._variables:
            return _NONE
        over = [self._variables[name] for name in dependencies if name in self._variables]
        if not over:
            return self.start
        merged = dict(self.start)
        for variables in over:
            merged.update(variables)
        return MappingProxyType(merged)

    def apply(self, module: Module, stage: int, variables: Mapping[str, Any]) -> StateChange:
        """A run was good: what it published and set goes over what its module had."""
        whole = {**self.own(module.name), **variables}
        if self._start is None:
            _ = self.start  # as the stage began, before this run is in it
        self._variables[module.name] = whole
        self._left.add(module.name)
        return StateChange(module.id, module.name, module.state_scope, stage, whole)
