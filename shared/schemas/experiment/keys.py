"""The keys of a configuration, one by one: for messages, schemas and examples that cannot drift from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.profile import PROFILES

_ORIGINAL = "the configuration of the earlier model experiments"
_DOCUMENT = "the services architecture document"
_HUMAN = "the experiment with people (Frohlich, Oppenheimer & Eavey 1987)"
_PARLEY = "Parley"

#: Where the keys come from that the earlier experiments' files do not have.
_SOURCES = {
    "phase2_settings.statement_validation_enabled": _DOCUMENT,
    "finished_agents_may_speak": _DOCUMENT,
    "manipulator.enabled": _DOCUMENT,
    "manipulator.type": _DOCUMENT,
    "manipulator.intervention_round": _DOCUMENT,
    "minimum_rounds": _HUMAN,
    "initiation": _HUMAN,
    "forced_ballot_last_round": _HUMAN,
    "decision_rule": _HUMAN,
    "imposed_amount": _HUMAN,
    "open_agenda": _HUMAN,
    "comprehension_test": _HUMAN,
    "frame": _HUMAN,
    "loss_frame_credit": _HUMAN,
    "class_probabilities_disclosed": _HUMAN,
    "payoff_distribution": _HUMAN,
    "no_consensus_draw": _HUMAN,
    "averages": _PARLEY,
    "profile": _PARLEY,
    "connection": _PARLEY,
    "agents[].connection": _PARLEY,
    "utility_agent_connection": _PARLEY,
    "models": _PARLEY,
    "structured_output": _PARLEY,
    "max_answer_tokens": _PARLEY,
    "memory_statement_length": _PARLEY,
    "memory_reasoning_length": _PARLEY,
    "voting_context_length": _PARLEY,
    "budget": _PARLEY,
    "budget.tokens": _PARLEY,
    "budget.calls": _PARLEY,
    "budget.seconds": _PARLEY,
}


@dataclass(frozen=True, slots=True)
class Key:
    """A key.

    Attributes:
        path: parts joined by dots; ``agents[].name`` for the entries of a list.
        section: the model of what it holds, when that has keys of its own.
        meaning: what it is, with its unit.
        required: whether it must be given.
        default: its default in JSON types (of the profile ``original``); of a section ``None``.
        source: where it comes from.
    """

    path: str
    section: type[BaseModel] | None
    meaning: str
    required: bool
    default: Any
    source: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def human_default(self) -> Any:
        """Its default under the profile ``human``."""
        return PROFILES["human"].get(self.path, self.default)


@cache
def keys() -> tuple[Key, ...]:
    """Every key, sections before what is in them, in the order of the models."""
    return tuple(_keys_of(ExperimentConfig, ""))


def _keys_of(model: type[BaseModel], prefix: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        path = prefix + name
        section, listed = _section(field.annotation)
        yield Key(
            path=path,
            section=section,
            meaning=field.description or "",
            required=field.is_required(),
            default=_default(model, name, field) if section is None else None,
            source=_SOURCES.get(path, _ORIGINAL),
        )
        if section is not None:
            yield from _keys_of(section, f"{path}[]." if listed else f"{path}.")


def _section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model that an annotation holds, if any, and whether it holds a list of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    listed = getattr(annotation, "__origin__", None) is list
    for part in get_args(annotation):
        section, _ = _section(part)
        if section is not None:
            return section, listed
    return None, False


def _default(model: type[BaseModel], name: str, field: FieldInfo) -> Any:
    if field.is_required():
        return None
    blank = model.model_construct(**{name: field.get_default(call_default_factory=True)})
    return blank.model_dump(mode="json", include={name}, warnings=False)[name]


@cache
def names_in(section: str) -> tuple[str, ...]:
    """The keys that a section has; the top's for the empty path, an agent's for ``agents.3``."""
    path = ".".join("[]" if part.isdigit() else part for part in section.split(".")).replace(".[]", "[]")
    prefix = f"{path}." if path else ""
    return tuple(
        key.name for key in keys() if key.path.startswith(prefix) and "." not in key.path[len(prefix) :]
    )
