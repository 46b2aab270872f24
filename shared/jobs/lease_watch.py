"""Which leases are dead: a judgement made by watching, not by reading a clock once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: A look may be this part of the TTL after the one before it, and its answer this late.
LOOK_EVERY = 1 / 5
ANSWER_WITHIN = 1 / 10


@dataclass(slots=True)
class _Watched:
    #: The expiry that was seen; ``None``: no lease was seen.
    score: float | None
    since: float


class LeaseWatch:
    """Condemns a lease only after watching it unrenewed for a whole TTL.

    The looks must follow one another by at most a fifth of the TTL, and each must be answered within a tenth
    of it; any other look starts the watch anew. So a Redis that was paused, cut off or emptied condemns
    nobody: its holders get a whole TTL of prompt answers in which to renew.
    """

    def __init__(self, ttl: float) -> None:
        self.ttl = ttl
        self._last_sent: float | None = None
        self._watched: dict[str, _Watched] = {}

    def observe(
        self,
        *,
        sent: float,
        answered: float,
        leases: Mapping[str, float],
        suspects: Iterable[str] = (),
    ) -> list[str]:
        """Take in one look; return the members that are condemned by it.

        Args:
            sent: when the look was sent, on a monotonic clock (seconds).
            answered: when its answer had come, on the same clock.
            leases: every lease there is, with its expiry.
            suspects: members that Postgres says are held; watched when they have no lease.
        """
        prompt = answered - sent <= self.ttl * ANSWER_WITHIN
        follows = self._last_sent is not None and sent - self._last_sent <= self.ttl * LOOK_EVERY
        self._last_sent = sent if prompt else None
        if not prompt:
            self._watched.clear()
            return []
        if not follows:
            self._watched.clear()
        seen: dict[str, float | None] = dict.fromkeys(suspects)
        seen.update(leases)
        condemned = []
        watched: dict[str, _Watched] = {}
        for member, score in seen.items():
            before = self._watched.get(member)
            if before is None or before.score != score:
                # It counts from when the answer was there: nothing is known of the time before.
                watched[member] = _Watched(score, answered)
                continue
            watched[member] = before
            if sent - before.since >= self.ttl:
                condemned.append(member)
        self._watched = watched
        return condemned

    def reset(self) -> None:
        """Start anew, after a look that failed."""
        self._last_sent = None
        self._watched.clear()
