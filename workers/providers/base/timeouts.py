"""How long a call may take, and the one timer that watches it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType

from shared.errors import ProviderTimeoutError, ProviderUnreachedError
from shared.schemas.provider_settings import ProviderTimeouts
from shared.settings import Settings

_PROMISE = {
    "connect": "could not be connected within {seconds:g} s",
    "first_token": "sent no token within {seconds:g} s",
    "between_tokens": "sent nothing more for {seconds:g} s",
    "total": "did not end its answer within {seconds:g} s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTimeouts:
    """Seconds of one call.

    Attributes:
        connect: to a usable connection: name look-up, a free place in the pool, TCP and TLS.
        first_token: from the start of a try, connecting included, to its first piece of text, thinking or
            tool call. Comments, empty deltas and HTTP headers do not count as a token. It does not apply to
            a call that is not streamed.
        between_tokens: from one such piece to the next; time in which nobody asks for it does not count.
        total: the whole call with all its tries and the waits between them.
    """

    connect: float
    first_token: float
    between_tokens: float
    total: float

    @classmethod
    def resolve(cls, chosen: ProviderTimeouts | None, settings: Settings) -> CallTimeouts:
        """The timeouts of a connection, with the defaults of ``settings`` where it says nothing."""
        chosen = chosen or ProviderTimeouts(connect=None, first_token=None, between_tokens=None, total=None)
        return cls(
            connect=chosen.connect or settings.provider_connect_timeout,
            first_token=chosen.first_token or settings.provider_first_token_timeout,
            between_tokens=chosen.between_tokens or settings.provider_between_tokens_timeout,
            total=chosen.total or settings.provider_total_timeout,
        )


def timed_out(name: str, seconds: float) -> ProviderTimeoutError:
    """The error for the timeout ``name``: which, how long, and what to raise."""
    promise = _PROMISE[name].format(seconds=seconds)
    kind = ProviderUnreachedError if name == "connect" else ProviderTimeoutError
    return kind(
        f"the provider {promise} ({name}); raise timeouts.{name} of the connection or "
        f"PARLEY_PROVIDER_{name.upper()}_TIMEOUT"
    )


class CallClock:
    """Watches the awaits of one call with one lazily moved timer.

    ``with clock:`` around an await on the provider ends it with :class:`ProviderTimeoutError` when the
    current limit passes. Nothing is armed or cancelled for a token: a token only moves the limit, and the
    timer, when it fires early, arms itself again.
    """

    __slots__ = (
        "_cancelling",
        "_due",
        "_expired",
        "_limit",
        "_loop",
        "_phase",
        "_restart",
        "_task",
        "_timeouts",
        "_timer",
        "_timer_due",
        "_total_due",
    )

    def __init__(self, timeouts: CallTimeouts) -> None:
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._total_due = self._loop.time() + timeouts.total
        self._phase = "total"
        self._limit = self._due = self._total_due
        self._restart = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._expired = False

    def await_first_token(self) -> None:
        """A try begins: ``first_token`` counts from now."""
        self._phase = "first_token"
        self._limit = self._loop.time() + self._timeouts.first_token

    def token(self) -> None:
        """A token came: ``between_tokens`` counts from the next await."""
        self._restart = True

    def remaining(self) -> float:
        """Seconds that are left of ``total``."""
        return self._total_due - self._loop.time()

    def __enter__(self) -> None:
        now = self._loop.time()
        if self._restart:
            self._restart = False
            self._phase = "between_tokens"
            self._limit = now + self._timeouts.between_tokens
        due = self._limit if self._limit < self._total_due else self._total_due
        if due <= now:
            raise self._error()
        self._due = due
        task = self._task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a provider is called from within a task")
        self._cancelling = task.cancelling()
        if self._timer is None:
            self._arm(due)
        elif due < self._timer_due:
            self._timer.cancel()
            self._arm(due)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self._expired and task is not None:
            self._expired = False
            # Somebody else's cancellation may have come at the same moment; it is theirs to see.
            if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise self._error() from None

    def close(self) -> None:
        """Take the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, due: float) -> None:
        self._timer_due = due
        self._timer = self._loop.call_at(due, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._task is None:
            return  # nobody waits for the provider; the next await arms anew
        # Timers may fire a clock tick early.
        if self._loop.time() + 0.001 < self._due:
            self._arm(self._due)
            return
        self._expired = True
        self._task.cancel()

    def _error(self) -> ProviderTimeoutError:
        if self._total_due <= self._limit:
            return timed_out("total", self._timeouts.total)
        return timed_out(self._phase, getattr(self._timeouts, self._phase))
