"""Reading a memory that an agent wrote: it is kept as it is, so what is none must be told apart first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from workers.experiment.reading.reader import UnreadableError
from workers.experiment.reading.script import without_thoughts
from workers.experiment.services.memory_text import clean, ending

#: A refusal is short; in a longer text the same words belong to what is told.
_REFUSAL_LENGTH = 400
_REFUSAL = re.compile(
    r"""
    (?:i(?:'m|\ am)\ (?:very\ |so\ )?sorry|sorry|i\ apologi[sz]e|unfortunately)\b
        .{0,60}\b(?:can(?:'t|not)|unable|won't)
    |i(?:'m|\ am)\ (?:unable|not\ able)\ to
    |i\ (?:cannot|can't|can\ not|won't|will\ not)
        \ (?:help|assist|comply|fulfil|provide|write|rewrite|update|do\ that)
    |as\ an\ ai\b
    |(?:lo\ siento|lo\ lamento|lamentablemente)\b.{0,60}\bno\ puedo
    |no\ puedo\ (?:ayudar|cumplir|escribir|reescribir|actualizar|proporcionar|hacer\ eso)
    |como\ (?:una?\ )?(?:ia|inteligencia\ artificial|modelo\ de\ lenguaje)\b
    |(?:很?抱歉|对不起).{0,20}(?:无法|不能)
    |我(?:无法|不能)(?:帮|协助|完成|提供|满足|更新|重写)
    |作为(?:一个|一名)?(?:人工智能|ai|语言模型)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_FENCE = re.compile(r"\A```[^\n`]*\n(.*?)\n?```\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class MemoryReader:
    """Reads a rewritten memory.

    Attributes:
        limit: how many characters it may have.
        scaffold: what only the question says; an answer with it copies the question.
        strict: whether such an answer, or one that is too long, is asked for again; else the copied lines
            are taken out, and its oldest sentences.
    """

    limit: int
    scaffold: tuple[str, ...]
    strict: bool = True

    @property
    def name(self) -> str:
        """Of the kind of question."""
        return "memory"

    @property
    def schema(self) -> dict[str, Any] | None:
        """A memory is free text."""
        return None

    def read(self, text: str) -> str:
        """The memory, without control characters.

        Raises:
            UnreadableError: ``empty_response``, ``memory_refusal``, ``memory_scaffold`` or
                ``memory_too_long``.
        """
        memory = clean(without_thoughts(text))
        fenced = _FENCE.match(memory)
        if fenced is not None:
            memory = fenced.group(1).strip()
        if not self.strict:
            memory = without_scaffold(memory, self.scaffold)
        if not any(character.isalnum() for character in memory):
            raise UnreadableError("empty_response")
        if refuses(memory):
            raise UnreadableError("memory_refusal")
        if any(part in memory for part in self.scaffold):
            raise UnreadableError("memory_scaffold")
        if len(memory) > self.limit:
            if self.strict:
                raise UnreadableError("memory_too_long", length=len(memory), limit=self.limit)
            memory = ending(memory, self.limit)
        return memory


def refuses(memory: str) -> bool:
    """Whether a text is a model's refusal and no memory."""
    if len(memory) > _REFUSAL_LENGTH:
        return False
    return _REFUSAL.match(memory.replace("’", "'")) is not None


def without_scaffold(text: str, scaffold: Iterable[str]) -> str:
    """``text`` without what only the questions say: others' words cannot pass for a part of a question."""
    parts = tuple(scaffold)
    # Again, as what is left may have closed around what was taken out.
    while any(part in text for part in parts):
        for part in parts:
            text = text.replace(part, "")
    return text.strip()
