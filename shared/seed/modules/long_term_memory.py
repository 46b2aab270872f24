# ruff: noqa
# mypy: ignore-errors
# What lies before the recent messages, kept up after each answer.
#
# The conversation is taken in blocks of 20 messages, each once, when 20 newer ones stand behind it. A block
# goes into the living summary, and is told as an episode; of the episodes the last five stay. What was
# generated is kept in the module's variables. When a model call fails, what there was stays as it was, and the
# same block is tried after the next answer.
#
#   summary   the living summary
#   covered   how many messages it knows
#   episodes  [{"first", "last", "text"}], oldest first; messages count from 1
#   told      how many messages were told as episodes, or passed over
#   memory    what the prompt shows

import time

_BLOCK = 20  # messages of a block, and messages at the end that stay out
_EPISODES = 5
_SUMMARY_TOKENS = 800
_EPISODE_TOKENS = 300
_LONGEST = 700  # characters of one message that the model is shown
_SECONDS = 15  # no model call begins later in a run than this: what is missing comes after the next answer
_CALLS = 6  # model calls of one run, at most

_SUMMARISE = (
    "You keep the memory of an assistant. Rewrite its summary of a conversation so that it takes in the new "
    "messages. Keep what will matter later: who the person is, names, facts, plans, promises, feelings, and "
    "what is still open. Where the new messages change something, write only how it is now; shorten what has "
    "become unimportant. Write plain prose in the language of the conversation, about 600 words at most. Add "
    "nothing that was not said, and answer with the summary alone."
)
_TELL = (
    "You keep the memory of an assistant. Tell these messages of a conversation as one episode: what it was "
    "about, what was said and decided, how it ended. Write plain prose in the language of the conversation, "
    "about 200 words at most. Add nothing that was not said, and answer with the episode alone."
)

_started = time.monotonic()
_calls = 0

summary = ctx.get_variable("summary", "")
covered = ctx.get_variable("covered", 0)
episodes = ctx.get_variable("episodes", [])
told = ctx.get_variable("told", 0)


def _one(place):
    try:
        return ctx.get_conversation_history(limit=1, offset=place)
    except ValueError:
        return [{"role": "assistant", "content": "(a message that is too long to read)"}]


def _block(start):
    try:
        block = ctx.get_conversation_history(limit=_BLOCK, offset=start)
    except ValueError:
        # Together too large for one call: one by one.
        block = [said for place in range(start, start + _BLOCK) for said in _one(place)]
    lines = []
    for said in block:
        text = " ".join(said["content"].split())
        lines.append(
            f"{said['role'].capitalize()}: {text[:_LONGEST]}{' […]' if len(text) > _LONGEST else ''}"
        )
    return "\n".join(lines)


def _ask(instructions, text, tokens):
    global _calls
    _calls += 1
    answer = ctx.generate(instructions, text, max_tokens=tokens, json_mode="off").strip()
    if not answer:
        raise ctx.GenerationError("the model answered nothing")
    return answer


def _in_time():
    return _calls < _CALLS and time.monotonic() - _started < _SECONDS


# Messages of whole blocks that have _BLOCK newer ones behind them.
_old = max(0, ctx.get_message_count() - _BLOCK) // _BLOCK * _BLOCK
# Blocks whose episode would be dropped at once are not told.
told = max(told, _old - _EPISODES * _BLOCK)

try:
    while (covered < _old or told < _old) and _in_time():
        if covered <= told and covered < _old:
            _known = summary or "(there is none yet)"
            summary = _ask(
                _SUMMARISE,
                f"Summary so far:\n{_known}\n\nNew messages:\n{_block(covered)}",
                _SUMMARY_TOKENS,
            )
            covered += _BLOCK
        else:
            _text = _ask(_TELL, _block(told), _EPISODE_TOKENS)
            episodes = [*episodes, {"first": told + 1, "last": told + _BLOCK, "text": _text}][-_EPISODES:]
            told += _BLOCK
except ctx.GenerationError as _error:
    ctx.log(f"the memory stays as it was, and is tried again after the next answer: {_error}", "warning")

_parts = []
if summary:
    _parts.append("What you remember of this conversation:\n" + summary)
if episodes:
    _parts.append(
        "Episodes of it, oldest first:\n"
        + "\n".join(f"- Messages {_told['first']} to {_told['last']}: {_told['text']}" for _told in episodes)
    )
memory = "\n\n".join(_parts)
