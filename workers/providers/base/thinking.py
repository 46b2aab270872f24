"""Thinking that a model writes inline, as ``<think>…</think>`` before its answer."""

from __future__ import annotations

_OPEN = "<think>"
_CLOSE = "</think>"

#: White space at the beginning is held back up to this many characters: what comes after is the answer.
_MAX_HELD = 1000

_START, _INSIDE, _AFTER, _ANSWER = range(4)


class ThinkSplitter:
    """Parts an answer into content and thinking while it streams, however the tags are cut.

    Only a block that begins the answer (white space may precede it) is thinking: a later ``<think>`` is
    text, since models also write about tags. White space right after each tag, and before the first, goes
    with the tags; no other character is lost. A block that never ends is thinking to the end.
    """

    __slots__ = ("_held", "_skip_space", "_state", "decided")

    def __init__(self) -> None:
        self._state = _START
        self._held = ""
        self._skip_space = False
        #: From here on everything is content; callers may stop to ask.
        self.decided = False

    def feed(self, text: str) -> tuple[str, str]:
        """``(content, thinking)`` that ``text`` makes certain."""
        if self._state == _ANSWER:
            return text, ""
        text = self._held + text
        self._held = ""
        thinking = ""
        if self._state == _START:
            stripped = text.lstrip()
            if stripped.startswith(_OPEN):
                self._state = _INSIDE
                self._skip_space = True
                text = stripped[len(_OPEN) :]
            elif _OPEN.startswith(stripped) and len(text) <= _MAX_HELD:
                self._held = text
                return "", ""
            else:
                return self._answer(text), ""
        if self._state == _INSIDE:
            if self._skip_space:
                text = text.lstrip()
                if not text:
                    return "", ""
                self._skip_space = False
            head, tag, tail = text.partition(_CLOSE)
            if not tag:
                kept = _overlap(text)
                self._held = text[len(text) - kept :]
                return "", text[: len(text) - kept]
            thinking = head
            self._state = _AFTER
            text = tail
        text = text.lstrip()
        return (self._answer(text) if text else ""), thinking

    def flush(self) -> tuple[str, str]:
        """``(content, thinking)`` that was held back for a tag that never came."""
        held, self._held = self._held, ""
        return ("", held) if self._state == _INSIDE else (held, "")

    def stop(self) -> tuple[str, str]:
        """Take the rest as it is, because the provider tells thinking apart itself."""
        rest = self.flush()
        self._answer("")
        return rest

    def _answer(self, text: str) -> str:
        self._state = _ANSWER
        self.decided = True
        return text


def split_thinking(text: str) -> tuple[str, str]:
    """``(content, thinking)`` of a whole answer."""
    splitter = ThinkSplitter()
    content, thinking = splitter.feed(text)
    more_content, more_thinking = splitter.flush()
    return content + more_content, thinking + more_thinking


def _overlap(text: str) -> int:
    """Length of the longest end of ``text`` that may be the beginning of the closing tag."""
    for length in range(min(len(text), len(_CLOSE) - 1), 0, -1):
        if text.endswith(_CLOSE[:length]):
            return length
    return 0
