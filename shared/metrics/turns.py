"""Answers: how soon they begin, what they cost in tokens, and where a turn's time goes."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from shared.metrics.registry import REGISTRY, begin_at_zero

#: The stages of a turn; see ``workers.chat.modules.stages``.
STAGES = ("1", "2", "3", "4", "5")
#: What tokens were spent for: a turn's answer, a call of a script, a call of an experiment.
USES = ("answer", "script", "experiment")

#: From when a turn could be taken up to the first piece of its answer.
FIRST_TOKEN = Histogram(
    "parley_first_token_seconds",
    "Time from when a turn could be taken up until the first piece of its answer; first attempts only.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300),
    registry=REGISTRY,
)
#: Tokens as providers count them; where one does not, a piece of the answer counts as one.
TOKENS = Counter(
    "parley_tokens_total",
    "Tokens read (input) and written (output) by models, as their providers count them.",
    ["use", "direction"],
    registry=REGISTRY,
)
#: Stages 1, 2, 4 and 5 run modules; in stage 3 the model answers, the wait for a permit included.
STAGE_SECONDS = Histogram(
    "parley_stage_seconds",
    "Time that a stage of a turn took; stage 3 is the answer.",
    ["stage"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600),
    registry=REGISTRY,
)
#: Stage 3, on the path of every turn.
ANSWER_SECONDS = STAGE_SECONDS.labels("3")

for _stage in STAGES:
    STAGE_SECONDS.labels(_stage)
begin_at_zero(TOKENS, [(use, direction) for use in USES for direction in ("input", "output")])


def count_tokens(use: str, read: int | None, written: int | None) -> None:
    """Count the tokens of one call; ``None`` counts nothing."""
    if read:
        TOKENS.labels(use, "input").inc(read)
    if written:
        TOKENS.labels(use, "output").inc(written)
