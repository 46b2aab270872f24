"""Other names of keys, and other places: those that the architecture document and older files use.

A documented name means the key (or the keys) that it stands for. It is read at the top of the file and in
``phase2_settings``; given together with its key, the two must say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from shared.schemas.experiment.config import SWITCHED_SECTIONS
from shared.schemas.experiment.fault import Fault

_P2 = "phase2_settings"
_TRANSPARENCY = "phase2_enhanced_transparency"

#: Every documented name, and the paths of the keys that it stands for.
ALIASES: Mapping[str, tuple[str, ...]] = {
    # Voting
    "voting_timeout_seconds": (
        f"{_P2}.confirmation_timeout_seconds",
        f"{_P2}.ballot_timeout_seconds",
        f"{_P2}.two_stage_timeout_seconds",
    ),
    "voting_retry_attempts": (f"{_P2}.two_stage_max_retries",),
    "two_stage_voting_max_retries": (f"{_P2}.two_stage_max_retries",),
    "two_stage_voting_timeout_seconds": (f"{_P2}.two_stage_timeout_seconds",),
    "two_stage_voting_enabled": (f"{_P2}.two_stage_voting_enabled",),
    "required_consensus": ("decision_rule",),
    # Discussion and order
    "discussion_validation_enabled": (f"{_P2}.statement_validation_enabled",),
    "statement_validation_enabled": (f"{_P2}.statement_validation_enabled",),
    "public_history_max_length": (f"{_P2}.public_history_max_length",),
    "include_internal_reasoning": ("phase2_include_internal_reasoning_in_memory",),
    "phase2_include_internal_reasoning_in_memory": ("phase2_include_internal_reasoning_in_memory",),
    "randomize_speaking_order": ("randomize_speaking_order",),
    "speaking_order_strategy": ("speaking_order_strategy",),
    "finished_agents_may_speak": ("finished_agents_may_speak",),
    # Results
    "transparency_detail_level": (f"{_TRANSPARENCY}.detail_level",),
    "include_counterfactuals": (f"{_TRANSPARENCY}.include_counterfactuals",),
    "include_class_assignment": (f"{_TRANSPARENCY}.include_class_assignment",),
    "include_insights": (f"{_TRANSPARENCY}.include_insights",),
    # Memory
    "memory_guidance_style": ("memory_guidance_style",),
    "selective_memory_updates": ("selective_memory_updates",),
    "memory_update_threshold": ("memory_update_threshold",),
}

#: Stands for the limit of every agent that has none of its own.
MEMORY_LIMIT = "memory_character_limit"

#: Where a documented name is read: at the top, and in this section.
PLACES = ("", _P2)


class Given:
    """A document with every key under its own name and in its own place.

    Attributes:
        values: the document.
        written: for each key that was given by another name, the path that was written.
        faults: names that were given along with their keys and say something else.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.values: dict[str, Any] = deepcopy(dict(document))
        self.written: dict[str, str] = {}
        self.faults: list[Fault] = []
        for place in PLACES:
            for name, targets in ALIASES.items():
                self._move(place, name, targets)
        self._spread_memory_limit()

    def path(self, path: str) -> str:
        """How the file names the key at ``path``."""
        return self.written.get(path, path)

    def _move(self, place: str, name: str, targets: tuple[str, ...]) -> None:
        written = f"{place}.{name}" if place else name
        section = self._section(place)
        if section is None or name not in section or written in targets:
            return
        value = section.pop(name)
        if value is None:
            return
        for target in targets:
            self._put(target, value, written)

    def _put(self, target: str, value: Any, written: str) -> None:
        place, _, key = target.rpartition(".")
        section = self._section(place, make=True)
        if section is None:  # something else stands where the section belongs: that is refused on its own
            return
        if key not in section:
            section[key] = value
            self.written[target] = written
        elif not _same(section[key], value):
            self._differs(written, self.path(target), section[key])

    def _section(self, place: str, *, make: bool = False) -> dict[str, Any] | None:
        if not place:
            return self.values
        section = self.values.get(place)
        if make and section is None:
            section = self.values[place] = {}
        elif make and place in SWITCHED_SECTIONS and isinstance(section, bool):
            section = self.values[place] = {"enabled": section}
        return section if isinstance(section, dict) else None

    def _spread_memory_limit(self) -> None:
        limits = list(self._take_memory_limits())
        if not limits:
            return
        written, limit = limits[0]
        for other, value in limits[1:]:
            if not _same(limit, value):
                self._differs(other, written, limit)
        agents = self.values.get("agents")
        for index, agent in enumerate(agents if isinstance(agents, list) else ()):
            if isinstance(agent, dict) and MEMORY_LIMIT not in agent:
                agent[MEMORY_LIMIT] = limit
                self.written[f"agents.{index}.{MEMORY_LIMIT}"] = written

    def _take_memory_limits(self) -> Iterator[tuple[str, Any]]:
        for place in PLACES:
            section = self._section(place)
            value = section.pop(MEMORY_LIMIT, None) if section is not None else None
            if value is not None:
                yield f"{place}.{MEMORY_LIMIT}" if place else MEMORY_LIMIT, value

    def _differs(self, written: str, other: str, value: Any) -> None:
        self.faults.append(
            Fault(written, f"means the same as {other}, which says {str(value)[:100]!r}; give one of them")
        )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.strip().casefold() == other.strip().casefold()
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
