# ruff: noqa
# mypy: ignore-errors
# The last messages as lines for the prompt, oldest first.
#
# 40 of them: long_term_memory leaves the last 20 out and takes in 20 at a time, so that what is older than
# these is always in its summary or in an episode.

_MESSAGES = 40
_LONGEST = 1500  # characters of one message
_TOTAL = 16000  # characters of all; the oldest go first


def _read(count):
    try:
        return ctx.get_raw_recent_messages(count)
    except ValueError:
        # Together too large for one call: one by one.
        return [said for back in range(count, 0, -1) for said in ctx.get_buffer_messages(back, back)]


def _line(said):
    text = " ".join(said["content"].split())
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + " […]"
    return f"{_NAMES.get(said['role'], said['role'])}: {text}"


_NAMES = {"user": "They", "assistant": "You"}

# The message that is being answered is sent by itself.
_said = _read(_MESSAGES + 1)
_said = _said[:-1] if _said and _said[-1]["role"] == "user" else _said[-_MESSAGES:]

_lines = []
_length = 0
for _message in reversed(_said):
    _written = _line(_message)
    _length += len(_written)
    if _length > _TOTAL:
        break
    _lines.append(_written)
_lines.reverse()

recent_conversation = "The conversation so far, newest last:\n" + "\n".join(_lines) if _lines else ""
