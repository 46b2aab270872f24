"""A lease is dead when it was watched unrenewed for a whole TTL, by prompt looks that follow closely."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.jobs.lease_watch import ANSWER_WITHIN, LOOK_EVERY, LeaseWatch

TTL = 3.0
PAUSE = TTL * LOOK_EVERY

#: Between two looks, and until the answer.
whatever = st.tuples(st.floats(0.01, 4 * TTL), st.floats(0, 2 * TTL))


class Watching:
    """A watch, its clock, and one lease that somebody renews or not."""

    def __init__(self) -> None:
        self.watch = LeaseWatch(TTL)
        self.now = 100.0
        self.score: float | None = 1.0

    def renew(self) -> None:
        self.score = (self.score or 0) + 1

    def look(self, answered_after: float = 0.0, *, held: bool = True) -> bool:
        sent = self.now
        self.now += answered_after
        leases = {} if self.score is None else {"job:1": self.score}
        suspects = ["job:1"] if held else []
        condemned = self.watch.observe(sent=sent, answered=self.now, leases=leases, suspects=suspects)
        return condemned == ["job:1"]


@given(st.lists(st.tuples(whatever, st.booleans()), max_size=60))
def test_who_renews_in_time_is_never_condemned(
    looks: list[tuple[tuple[float, float], bool]],
) -> None:
    """However late, rare or slow the looks are, and even if Redis forgets the lease now and then."""
    one = Watching()
    renewed = one.now
    for (pause, answer), forgotten in looks:
        one.now += pause
        if one.now + answer - renewed >= TTL / 2:
            one.renew()
            renewed = one.now
        if forgotten:
            score, one.score = one.score, None
            assert not one.look(answer)
            one.score = score
            one.renew()
            renewed = one.now
        else:
            assert not one.look(answer)


@given(
    st.lists(whatever, max_size=20),
    st.lists(st.tuples(st.floats(0.05, PAUSE * 0.99), st.floats(0, 0.99)), min_size=2, max_size=80),
    st.booleans(),
)
def test_the_dead_are_condemned_a_ttl_after_looks_became_prompt(
    before: list[tuple[float, float]], looks: list[tuple[float, float]], leased: bool
) -> None:
    one = Watching()
    if not leased:
        one.score = None
    for pause, answer in before:
        one.now += pause
        if one.look(answer):
            return
    began = None
    for pause, fraction in looks:
        sent = one.now
        # Answered promptly, and before the next look is due.
        condemned = one.look(fraction * min(pause, TTL * ANSWER_WITHIN))
        if condemned:
            return
        began = one.now if began is None else began
        assert sent - began < TTL, "it was watched for a whole TTL"
        one.now = sent + pause


@given(st.lists(whatever, max_size=60))
def test_nobody_is_condemned_on_less_than_a_ttl_of_watching(looks: list[tuple[float, float]]) -> None:
    one = Watching()
    first = None
    for pause, answer in looks:
        one.now += pause
        sent = one.now
        if one.look(answer):
            assert first is not None
            assert sent - first >= TTL
            return
        first = one.now if first is None else first


def watched(seconds: float) -> Watching:
    one = Watching()
    assert not one.look()
    until = one.now + seconds
    while one.now + PAUSE * 0.8 < until:
        one.now += PAUSE * 0.8
        assert not one.look()
    return one


def test_a_look_that_comes_late_starts_the_watch_anew() -> None:
    one = watched(TTL * 0.95)
    one.now += PAUSE * 1.01
    assert not one.look()
    one.now += PAUSE * 0.8
    assert not one.look()


def test_an_answer_that_comes_late_starts_the_watch_anew() -> None:
    one = watched(TTL * 0.95)
    one.now += PAUSE * 0.9
    assert not one.look(TTL * ANSWER_WITHIN * 1.01)
    one.now += PAUSE * 0.1
    assert not one.look()


def test_a_failed_look_starts_the_watch_anew() -> None:
    one = watched(TTL * 0.95)
    one.watch.reset()
    one.now += PAUSE * 0.9
    assert not one.look()


def test_a_lease_that_redis_lost_is_watched_only_if_postgres_says_it_is_held() -> None:
    one = watched(TTL * 0.5)
    one.score = None
    for _ in range(20):
        one.now += PAUSE * 0.8
        assert not one.look(held=False)


def test_every_lease_is_watched_for_itself() -> None:
    watch, now = LeaseWatch(TTL), 0.0
    condemned = []
    for step in range(8):
        leases = {"dead:1": 1.0, "alive:1": float(step), **({"late:1": 1.0} if step >= 4 else {})}
        condemned += watch.observe(sent=now, answered=now, leases=leases)
        now += PAUSE * 0.9
    assert set(condemned) == {"dead:1"}
