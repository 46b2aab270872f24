"""The bodies of ``/v1/chat/completions``: a whole answer, and the chunks of a streamed one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from gateway.problems import openai_error
from shared.errors import ParleyError
from shared.jobs.job import Job
from shared.schemas.chat import Answer

DONE = b"data: [DONE]\n\n"
_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter"})


@dataclass(frozen=True)
class Completion:
    """What all bodies of one completion share: its id, when it began, and the model as it was asked for."""

    id: str
    created: int
    model: str
    include_usage: bool = False

    @classmethod
    def of(cls, job: Job, model: str, *, include_usage: bool = False) -> Completion:
        """The completion that ``job`` answers."""
        return cls(f"chatcmpl-{job.id.hex}", int(job.created_at.timestamp()), model, include_usage)

    def whole(self, answer: Answer) -> bytes:
        """The body of an answer that is not streamed."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": answer.content if answer.content or not answer.tool_calls else None,
            "refusal": None,
        }
        if answer.thinking:
            message["reasoning_content"] = answer.thinking
        if answer.tool_calls:
            message["tool_calls"] = answer.tool_calls
        reason = finish_reason(answer.metadata, called=bool(answer.tool_calls))
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return orjson.dumps(
            {
                **self._head("chat.completion"),
                "choices": [choice],
                "usage": usage(answer.metadata),
                "system_fingerprint": None,
            }
        )

    def delta(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        """A chunk of a stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self._chunk([choice], None)

    def usage_chunk(self, metadata: dict[str, Any]) -> bytes:
        """The chunk that tells the usage, after the last one with a choice."""
        return self._chunk([], usage(metadata))

    def _chunk(self, choices: list[dict[str, Any]], told: dict[str, Any] | None) -> bytes:
        chunk = {
            **self._head("chat.completion.chunk"),
            "choices": choices,
            "system_fingerprint": None,
        }
        if self.include_usage:
            chunk["usage"] = told
        return b"data: %b\n\n" % orjson.dumps(chunk)

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def error_event(error: ParleyError) -> bytes:
    """What ends a stream that failed."""
    return b"data: %b\n\n" % orjson.dumps(openai_error(error))


def finish_reason(metadata: dict[str, Any], *, called: bool) -> str:
    """Why the model stopped, in OpenAI's words."""
    reason = metadata.get("finish_reason")
    if called and reason in {None, "stop"}:
        return "tool_calls"
    return reason if reason in _REASONS else "stop"


def usage(metadata: dict[str, Any]) -> dict[str, Any] | None:
    """The tokens as the provider counted them; ``None`` when it did not say."""
    prompt, completion = metadata.get("input_tokens"), metadata.get("output_tokens")
    if prompt is None and completion is None:
        return None
    prompt, completion = prompt or 0, completion or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
