"""Which triggers hold for what was said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter

import regex

from shared.schemas.trigger import compile_trigger, is_always, keywords
from workers.chat.modules.module import Module

#: Seconds that a search may hold up the event loop; what takes longer begins anew in a thread.
INLINE = 0.001
#: Texts longer than this are searched in a thread at once: some scans do not look at the clock.
INLINE_LENGTH = 10_000
#: All triggers of a turn together may search so many times as long as one; those that come later count as not
#: having ended in time.
TOGETHER = 5
#: Seconds of searching after which others get their turn.
_BREATH = 0.002


@dataclass(frozen=True, slots=True)
class TriggerMatch:
    """Whether a trigger holds.

    Attributes:
        text: what it matched; empty for a module that has no trigger.
        source: where: ``user_message`` or ``ai_response``.
        timed_out: the search did not end in time, and counts as no match.
        invalid: why the pattern is no regular expression; it was searched for as it stands.
    """

    matched: bool
    text: str = ""
    source: str = ""
    timed_out: bool = False
    invalid: str | None = None


ALWAYS = TriggerMatch(True)


class TriggerMatcher:
    """Searches for triggers, never longer than it may.

    Args:
        timeout: seconds for one pattern in one text.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout

    async def match(self, modules: Iterable[Module], texts: Mapping[str, str]) -> dict[str, TriggerMatch]:
        """By name, what became of every module whose trigger does not hold always.

        Args:
            modules: whose triggers.
            texts: what is searched, by its name, in order; the first match counts.
        """
        found: dict[str, TriggerMatch] = {}
        folded: list[tuple[str, str]] | None = None
        left, breath = self._timeout * TOGETHER, perf_counter()
        for module in modules:
            pattern = module.trigger_pattern
            if pattern is None or is_always(pattern):
                continue
            if left <= 0:
                found[module.name] = TriggerMatch(False, timed_out=True)
                continue
            began = perf_counter()
            if began - breath > _BREATH:
                await asyncio.sleep(0)
                breath = began = perf_counter()
            words, search, invalid = _compiled(pattern)
            if search is not None:
                found[module.name] = await self._search(search, texts)
            else:
                if folded is None:
                    folded = [(source, text.casefold()) for source, text in texts.items()]
                found[module.name] = _find(words, folded, invalid)
            left -= perf_counter() - began
        return found

    async def _search(self, pattern: regex.Pattern[str], texts: Mapping[str, str]) -> TriggerMatch:
        for source, text in texts.items():
            try:
                found = await self._search_one(pattern, text)
            except TimeoutError:
                return TriggerMatch(False, timed_out=True)
            if found is not None:
                return TriggerMatch(True, found[0], source)
        return TriggerMatch(False)

    async def _search_one(self, pattern: regex.Pattern[str], text: str) -> regex.Match[str] | None:
        if len(text) <= INLINE_LENGTH:
            try:
                return pattern.search(text, timeout=min(INLINE, self._timeout))
            except TimeoutError:
                if self._timeout <= INLINE:
                    raise
        # The search lets go of the interpreter, so that nothing else waits for it.
        return await asyncio.to_thread(pattern.search, text, timeout=self._timeout)


def _find(words: Sequence[str], texts: Sequence[tuple[str, str]], invalid: str | None) -> TriggerMatch:
    for source, text in texts:
        for word in words:
            if word in text:
                return TriggerMatch(True, word, source, invalid=invalid)
    return TriggerMatch(False, invalid=invalid)


@lru_cache(512)
def _compiled(pattern: str) -> tuple[tuple[str, ...], regex.Pattern[str] | None, str | None]:
    """The words to look for, or the expression to search, and what is wrong with it."""
    words = keywords(pattern)
    if words is not None:
        return tuple(word.casefold() for word in words), None, None
    try:
        return (), compile_trigger(pattern), None
    except ValueError as error:
        return (pattern.casefold(),), None, str(error)
