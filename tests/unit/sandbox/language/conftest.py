"""A script run in this process, with a host that answers from a dict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from workers.sandbox.language import CallFailed, Outcome, compile_script, run_script

Run = Callable[..., Outcome]


class Host:
    """Answers calls by name; an exception among the answers is raised."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.calls: list[tuple[str, list[Any], dict[str, Any]]] = []

    def __call__(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        self.calls.append((name, args, kwargs))
        answer = self.answers[name]
        if isinstance(answer, BaseException):
            raise answer
        return answer


def run_here(source: str, *, host: Host | None = None, limit: int = 10_000, **attributes: Any) -> Outcome:
    host = host or Host({})
    return run_script(
        compile_script(source).code,
        call=host,
        functions=list(host.answers),
        attributes=attributes,
        output_limit=limit,
    )


@pytest.fixture
def host() -> Host:
    return Host(
        {
            "generate": "a text",
            "reflect": "a thought",
            "get_persona_info": {"name": "Ava", "tags": [{"label": "x"}], "items": 3},
            "busy": CallFailed("GenerationError", "provider_timeout: nobody answered"),
            "wrong": CallFailed("ValueError", "limit must be positive"),
            "odd": CallFailed("SomethingElse", "odd"),
            "over": CallFailed("LimitError", "no more calls"),
            "set_variable": None,
        }
    )
