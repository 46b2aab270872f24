"""Keys of a lorebook entry as a module's trigger pattern."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared.schemas.trigger import check_trigger, keywords

_SLASHED = re.compile(r"/(?P<pattern>.+)/(?P<flags>[a-z]*)", re.DOTALL)


class UnusableKeysError(ValueError):
    """No trigger can be made of an entry; the text says why."""


def keyword_pattern(
    keys: Sequence[str],
    also: Sequence[Sequence[str]] = (),
    never: Sequence[str] = (),
    *,
    case_sensitive: bool = False,
) -> str:
    """A pattern for a text that has one of ``keys``, one of each list in ``also``, and none of ``never``.

    Raises:
        UnusableKeysError: there are no keys, or the pattern is longer than a module's may be.
    """
    wanted = _cleaned(keys)
    if not wanted:
        raise UnusableKeysError("has no keys")
    others = [cleaned for group in also if (cleaned := _cleaned(group))]
    refused = _cleaned(never)
    plain = "|".join(wanted)
    if not others and not refused and not case_sensitive and keywords(plain) == wanted and plain != "*":
        return _checked(plain)
    flags = "-i" if case_sensitive else "i"
    if not others and not refused:
        return _checked(f"(?{flags}:{_any(wanted)})")
    looks = "".join(rf"(?=[\s\S]*(?:{_any(group)}))" for group in [wanted, *others])
    looks += rf"(?![\s\S]*(?:{_any(refused)}))" if refused else ""
    return _checked(rf"\A(?{flags}:{looks})")


def regex_pattern(patterns: Sequence[str]) -> str:
    """A pattern for a text that matches one of ``patterns`` (``/…/i``, or bare), each with its own flags.

    Raises:
        UnusableKeysError: there are none, one of them is no regular expression, or they are too long.
    """
    parts = []
    for written in _cleaned(patterns):
        slashed = _SLASHED.fullmatch(written)
        pattern, given = (slashed["pattern"], slashed["flags"]) if slashed else (written, "")
        _checked(pattern)
        flags = "".join(flag for flag in "ims" if flag in given) + ("" if "i" in given else "-i")
        parts.append(f"(?{flags}:{pattern})")
    if not parts:
        raise UnusableKeysError("has no keys")
    return _checked("|".join(parts))


def _cleaned(keys: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(stripped for key in keys if (stripped := key.strip())))


def _any(keys: Sequence[str]) -> str:
    return "|".join(re.escape(key) for key in keys)


def _checked(pattern: str) -> str:
    try:
        return check_trigger(pattern)
    except ValueError as error:
        raise UnusableKeysError(f"has keys whose pattern {error}") from error
