"""Profiles: sets of defaults for the choices that a protocol leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Profile = Literal["original", "human"]

#: What each profile sets for a key that the file does not give: the choices of the earlier model experiments,
#: and those of the experiment with people (Frohlich, Oppenheimer & Eavey 1987).
PROFILES: Mapping[Profile, Mapping[str, Any]] = {
    "original": {
        "initiation": "first_yes",
        "minimum_rounds": 1,
        "open_agenda": False,
        "payoff_distribution": "best",
        "no_consensus_draw": "per_agent",
        "comprehension_test": False,
        "class_probabilities_disclosed": True,
    },
    "human": {
        "initiation": "all",
        "minimum_rounds": 2,
        "open_agenda": True,
        "payoff_distribution": "filtered_draw",
        "no_consensus_draw": "shared",
        "comprehension_test": True,
        "class_probabilities_disclosed": False,
    },
}


def with_profile(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` of a configuration, and its profile's for the keys that it leaves out."""
    chosen = values.get("profile", "original")
    if isinstance(chosen, str):
        chosen = chosen.strip().casefold()
    defaults = PROFILES.get(chosen, {}) if isinstance(chosen, str) else {}  # type: ignore[call-overload]
    return {**defaults, **values}
