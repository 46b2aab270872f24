"""The one pooled HTTP client of a worker process, and the tries that a call gets before its first token.

httpx over aiohttp's connections: httpx's own pool scans all its connections for every call. On the token
path the bytes are read from aiohttp's reader itself, which saves four nested generators for each token
and leaves none of them behind when a call is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import cast

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream

from shared import tracing
from shared.errors import (
    OutboundAddressError,
    ParleyError,
    ProviderConnectionError,
    ProviderResponseError,
)
from shared.security.outbound import OutboundRules, OutboundTarget, refused, resolve_target
from shared.settings import Settings
from workers.providers.base.connector import GuardedConnector, was_refused
from workers.providers.base.faults import RETRIED_STATUSES, status_error
from workers.providers.base.timeouts import CallClock, CallTimeouts, timed_out

#: Most bytes that are read of an answer that comes in one piece, and of the body of an error.
MAX_BODY = 64 * 1024 * 1024
MAX_ERROR_BODY = 64 * 1024
#: A reused connection is idle for at most this many seconds.
KEEPALIVE = 30.0
#: Seconds that the end of a complete answer may take.
DRAIN = 0.02
#: Seconds: the first wait between two tries, the longest one, and the longest that ``Retry-After`` may ask.
FIRST_BACKOFF = 0.25
MAX_BACKOFF = 8.0
MAX_RETRY_AFTER = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCall:
    """One HTTP request to a provider.

    Attributes:
        target: where it goes; made by :func:`shared.security.outbound.resolve_target`.
        path: begins with a slash and follows the target's URL.
        secrets: texts that must not be repeated in a message.
        model: the model that it is about, for the message when there is none of that name.
        streamed: tokens are expected one by one, so that ``first_token`` counts.
    """

    method: str
    target: OutboundTarget
    path: str
    timeouts: CallTimeouts
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    secrets: tuple[str, ...] = ()
    model: str | None = None
    streamed: bool = False


class ProviderAnswer:
    """A provider's answer of status 2xx, of which the body is still to be read."""

    __slots__ = ("_clock", "_raw", "_reader", "_response", "content_type", "tries")

    def __init__(
        self, response: httpx.Response, raw: aiohttp.ClientResponse, clock: CallClock, tries: int
    ) -> None:
        self._response = response
        self._raw = raw
        self._reader = raw.content
        self._clock = clock
        #: Media type, lower case, without parameters.
        self.content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        #: How often the request was sent.
        self.tries = tries

    def token(self) -> None:
        """Tell the clock that a token came."""
        self._clock.token()

    async def read(self) -> bytes:
        """What has come since the last read; empty at the end.

        Raises:
            ProviderTimeoutError: nothing came in time.
            ProviderResponseError: the body ended before its announced end.
            ProviderConnectionError: the connection broke.
        """
        try:
            with self._clock:
                return await self._reader.readany()
        except aiohttp.ClientPayloadError as error:
            raise ProviderResponseError("the provider's answer was cut off before its end") from error
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise ProviderConnectionError("the connection to the provider broke during the answer") from error

    async def read_all(self, limit: int = MAX_BODY) -> bytes:
        """The whole body.

        Raises:
            ProviderResponseError: it is longer than ``limit`` bytes.
        """
        parts: list[bytes] = []
        size = 0
        while data := await self.read():
            size += len(data)
            if size > limit:
                raise ProviderResponseError(f"the provider's answer is longer than {limit} bytes")
            parts.append(data)
        return b"".join(parts)

    async def drain(self) -> None:
        """Read the end of an answer whose content is complete, so that the connection can be used again.

        It usually is there already; a server that keeps the stream open is not waited for.
        """
        if not self._reader.at_eof():
            with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError, RuntimeError):
                async with asyncio.timeout(DRAIN):
                    while await self._reader.readany():
                        pass

    async def aclose(self) -> None:
        """Give the connection back when the answer was read to its end, else close its socket at once."""
        self._clock.close()
        await _close(self._response, self._raw)


class ProviderHttpClient:
    """The client of one process; make it inside the loop that it will run on.

    Redirects are not followed, cookies not kept, and proxies and ``netrc`` of the environment not used:
    every call goes where :func:`resolve_target` says, and none sees what another one's provider set. Calls
    that may reach private addresses share no connection with those that may not.

    Args:
        settings: the settings.
        first_backoff: seconds before the first repetition.
        max_retry_after: the most seconds that a provider may ask to wait.
        resolver: looks host names up; default: the system's.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        first_backoff: float = FIRST_BACKOFF,
        max_retry_after: float = MAX_RETRY_AFTER,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._settings = settings
        self._first_backoff = first_backoff
        self._max_retry_after = max_retry_after
        self._resolver = resolver or aiohttp.DefaultResolver()
        #: By whether private addresses may be reached.
        self._pools: dict[bool, httpx.AsyncClient] = {}
        #: Base URLs of servers that refused ``stream_options``, so that it is not offered to them again.
        self.refuses_stream_options: set[str] = set()

    @property
    def settings(self) -> Settings:
        """The settings of this process."""
        return self._settings

    def resolve(self, url: str, *, of_admin: bool) -> OutboundTarget:
        """Where ``url`` leads; see :func:`shared.security.outbound.resolve_target`."""
        return resolve_target(url, self._settings, of_admin=of_admin)

    async def send(self, call: ProviderCall) -> ProviderAnswer:
        """Send ``call``, again if need be, until the provider takes it; close what is returned.

        Connect errors, connections that break before an answer, and the statuses 429, 502, 503 and 504 are
        tried again up to ``provider_retries`` times: after ``Retry-After`` where the provider gives it, else
        after an exponential wait with jitter, as long as ``total`` allows.

        Raises:
            ProviderConnectionError, ProviderTimeoutError: it cannot be reached.
            ProviderAuthenticationError, ModelNotFoundError, ProviderRateLimitedError, ProviderRequestError,
            ProviderUnavailableError: it answered with an error status.
            OutboundAddressError: its host leads to addresses that are not connected to.
        """
        clock = CallClock(call.timeouts)
        try:
            tries = 0
            while True:
                tries += 1
                if call.streamed:
                    clock.await_first_token()
                outcome = await self._try(call, clock, tries)
                if isinstance(outcome, ProviderAnswer):
                    return outcome
                wait = self._wait(outcome, tries)
                if tries > self._settings.provider_retries or wait is None or wait >= clock.remaining():
                    raise outcome.error from outcome.cause
                tracing.current().event("retry", {"error.type": outcome.error.code, "parley.try": tries})
                await asyncio.sleep(wait)
        except BaseException:
            clock.close()
            raise

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.aclose()
        await self._resolver.close()

    def _pool(self, target: OutboundTarget) -> httpx.AsyncClient:
        pool = self._pools.get(target.private)
        if pool is None:
            tls = _tls_context()
            connector = GuardedConnector(
                OutboundRules.of(self._settings, private=target.private),
                self._resolver,
                limit=self._settings.provider_max_connections,
                keepalive_timeout=KEEPALIVE,
                ssl=tls,
            )
            session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            pool = self._pools[target.private] = httpx.AsyncClient(
                transport=_Transport(verify=tls, trust_env=False, client=session),
                trust_env=False,
                follow_redirects=False,
                cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
            )
        return pool

    async def _try(self, call: ProviderCall, clock: CallClock, tries: int) -> ProviderAnswer | _Failure:
        connect = call.timeouts.connect
        http = self._pool(call.target)
        try:
            request = http.build_request(
                call.method,
                call.target.url + call.path,
                content=call.body,
                headers={**self._trace(), **call.headers, "accept-encoding": "identity"},
                timeout=httpx.Timeout(None, connect=connect, pool=connect),
            )
        except (httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise OutboundAddressError("the provider's address or a header of it is malformed") from error
        try:
            with clock:
                response = await http.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError) as error:
            if was_refused(error):
                return _Failure(refused(self._settings, private=call.target.private), False, cause=error)
            return _connect_failure(error, connect)
        raw = response.extensions["aiohttp_response"]
        try:
            answer = ProviderAnswer(response, raw, clock, tries)
            if 200 <= response.status_code < 300:
                encoding = response.headers.get("content-encoding", "identity").lower()
                if encoding not in {"", "identity"}:
                    raise ProviderResponseError(
                        f"the provider compressed its answer ({encoding[:40]}) though it was asked not to"
                    )
                return answer
            retry_after = _retry_after(response.headers.get("retry-after"))
            body = await _error_body(answer)
            failure = status_error(
                response.status_code, body, model=call.model, secrets=call.secrets, retry_after=retry_after
            )
        except BaseException:
            await _close(response, raw)
            raise
        await _close(response, raw)
        return _Failure(failure, response.status_code in RETRIED_STATUSES, retry_after)

    def _trace(self) -> dict[str, str]:
        """What the provider is told of the trace that the call belongs to."""
        place = tracing.current().parent if self._settings.tracing_providers else None
        return {} if place is None else {"traceparent": str(place)}

    def _wait(self, failure: _Failure, tries: int) -> float | None:
        """Seconds before the next try; ``None`` when another one is of no use."""
        if not failure.retried:
            return None
        if failure.retry_after is not None:
            return min(failure.retry_after, self._max_retry_after)
        longest = min(self._first_backoff * 2 ** (tries - 1), MAX_BACKOFF)
        return random.uniform(longest / 2, longest)  # noqa: S311 (jitter, no secret)


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Certificates are checked; reading the trusted ones takes 20 ms."""
    return httpx.create_ssl_context()


@dataclass(frozen=True, slots=True)
class _Failure:
    """A try that failed."""

    error: ParleyError
    retried: bool
    retry_after: float | None = None
    cause: BaseException | None = None


class _Transport(AiohttpTransport):
    """The aiohttp transport, which also hands out aiohttp's own response."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        stream = cast(AiohttpResponseStream, response.stream)
        response.extensions["aiohttp_response"] = stream._aiohttp_response
        return response


async def _close(response: httpx.Response, raw: aiohttp.ClientResponse) -> None:
    if not raw.content.at_eof():
        raw.close()
    await response.aclose()


async def _error_body(answer: ProviderAnswer) -> bytes:
    """The beginning of an error's body, as far as it comes."""
    parts: list[bytes] = []
    size = 0
    try:
        while size < MAX_ERROR_BODY and (data := await answer.read()):
            parts.append(data)
            size += len(data)
    except (ProviderConnectionError, ProviderResponseError):
        pass  # the status says enough
    return b"".join(parts)[:MAX_ERROR_BODY]


def _connect_failure(error: Exception, connect: float) -> _Failure:
    cause = error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ else error
    if isinstance(cause, aiohttp.ServerTimeoutError | TimeoutError):
        return _Failure(timed_out("connect", connect), True, cause=error)
    retried = True
    if isinstance(cause, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        retried = False
        detail = "the provider's TLS certificate or handshake was not accepted; check the address"
    elif isinstance(cause, aiohttp.ClientConnectorDNSError):
        detail = "the provider's host name is not known; check the address of the connection"
    elif isinstance(cause, aiohttp.ClientConnectorError):
        detail = "the provider cannot be reached: the connection was refused or there is no way to it"
    elif isinstance(cause, aiohttp.ClientConnectionError | ConnectionError):
        detail = "the provider closed the connection before it answered"
    else:
        retried = False
        detail = "the provider's answer is no HTTP, or the request could not be sent"
    return _Failure(ProviderConnectionError(detail), retried, cause=error)


def _retry_after(value: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header: a number or an HTTP date."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return seconds if 0 <= seconds < float("inf") else 0.0 if seconds < 0 else None
