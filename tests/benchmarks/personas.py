"""Personas with modules, as the stack under measurement has them, and how their turns' stages went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from tests.benchmarks.stack import Stack

_STAGES = "SELECT job_id::text, trace -> 'stages' FROM turn_traces WHERE job_id = ANY(%s::uuid[])"


def make_persona(stack: Stack, name: str, template: str, modules: Iterable[Mapping[str, Any]]) -> str:
    """Make ``modules`` and a persona of ``template``; the persona's id."""
    for module in modules:
        stack.ask("POST", "/api/modules", dict(module))
    persona: dict[str, Any] = stack.ask("POST", "/api/personas", {"name": name, "template": template})
    return str(persona["id"])


def stages(stack: Stack, sessions: list[str]) -> dict[str, dict[int, dict[str, Any]]]:
    """Turn → number of the stage → the stage, of every turn that has left its trace."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    with psycopg.connect(stack.postgres.url("parley").replace("+psycopg", "")) as connection:
        for job, told in connection.execute(_STAGES, [sessions]):
            found[job] = {stage["stage"]: stage for stage in told}
    return found
