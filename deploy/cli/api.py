"""A small client of Parley's HTTP interface, with nothing to import that takes time."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from deploy.exit_codes import ExitCode

_TIMEOUT = 60.0  # seconds
_CHUNK = 1 << 16  # bytes
#: Twice the longest pause between two lines of a stream, which sends a comment at least every 15 s.
_SILENCE = 40.0  # seconds


class ApiError(Exception):
    """The gateway refused, or cannot be reached.

    Attributes:
        status: of the answer; 0 when there was none.
        code: of the problem document; empty when there was none.
    """

    def __init__(self, message: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    @property
    def exit_code(self) -> ExitCode:
        """What the command exits with."""
        if self.status == 0:
            return ExitCode.UNREACHABLE
        return ExitCode.UNAUTHORIZED if self.status in (401, 403) else ExitCode.FAILED


@dataclass(frozen=True)
class ServerEvent:
    """One event of a stream."""

    type: str
    data: dict[str, Any]
    #: None for an event that has no id.
    id: str | None = None


class Api:
    """Calls one gateway with one key."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ApiError(f"{url!r} is no http or https URL (PARLEY_URL)", status=-1)
        self.url = url.rstrip("/")
        self._parts = parts
        self._key = key

    def get(self, path: str, **query: object) -> Any:
        """The JSON that a GET answers."""
        return self.call("GET", path + ("?" + urlencode(query) if query else ""))

    def all(self, path: str) -> list[dict[str, Any]]:
        """Every item of a list, page by page."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.get(path, limit=200, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return items

    def find(self, path: str, wanted: str, noun: str) -> dict[str, Any]:
        """The item of a list that has this id or this name.

        Raises:
            ApiError: there is none, or the name is not clear.
        """
        found = [item for item in self.all(path) if wanted in (item["id"], item["name"])]
        if len(found) == 1:
            return found[0]
        problem = "no" if not found else f"{len(found)}"
        raise ApiError(f"There is {problem} {noun} {wanted!r}; give its name or its id.", status=404)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = _TIMEOUT,
    ) -> Any:
        """The JSON that a request answers; None for an answer without content.

        A ``body`` of bytes is sent as it is, with the Content-Type that ``headers`` give; any other as JSON.

        Raises:
            ApiError: it was refused, or nobody answered.
        """
        with self._open(method, path, body, headers or {}, timeout) as response:
            content = response.read()
        return json.loads(content) if content else None

    def fetch(self, path: str, *, timeout: float = _TIMEOUT) -> bytes:
        """The bytes that a GET answers; ``timeout`` is the longest silence.

        Raises:
            ApiError: it was refused, or nobody answered.
        """
        with self._open("GET", path, None, {"Accept": "*/*"}, timeout) as response:
            content: bytes = response.read()
        return content

    def chunks(self, path: str, *, timeout: float = _TIMEOUT) -> Iterator[bytes]:
        """The bytes that a GET answers, as they come; ``timeout`` is the longest silence.

        Raises:
            ApiError: it was refused, nobody answered, or the answer was cut off.
        """
        with self._open("GET", path, None, {"Accept": "*/*"}, timeout) as response:
            while chunk := response.read(_CHUNK):
                yield chunk

    def stream(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> Iterator[ServerEvent]:
        """The events that a request answers, until the stream ends.

        Raises:
            ApiError: it was refused, nobody answered, or the connection broke (``status`` 0).
        """
        asked = {"Accept": "text/event-stream", **(headers or {})}
        with self._open(method, path, body, asked, _SILENCE) as response:
            yield from parse_events(response)

    @contextmanager
    def _open(
        self, method: str, path: str, body: object, headers: Mapping[str, str], timeout: float
    ) -> Iterator[http.client.HTTPResponse]:
        host, port = self._parts.hostname or "", self._parts.port
        connection: http.client.HTTPConnection
        if self._parts.scheme == "https":
            connection = http.client.HTTPSConnection(
                host, port, timeout=timeout, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
        sent = {"Authorization": f"Bearer {self._key}", "Accept": "application/json", **headers}
        content = None
        if isinstance(body, bytes):
            content = body
        elif body is not None:
            content = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, self._parts.path.rstrip("/") + path, body=content, headers=sent)
            response = connection.getresponse()
            if response.status >= http.client.BAD_REQUEST:
                raise _refusal(response)
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(
                f"The gateway at {self.url} does not answer: {error or type(error).__name__}"
            ) from error
        finally:
            connection.close()


def _refusal(response: http.client.HTTPResponse) -> ApiError:
    status = response.status
    try:
        problem = json.loads(response.read())
        text = str(problem["detail"])
        for fault in problem.get("errors") or []:
            if fault["message"] not in text:
                text += f"\n  {fault['field']}: {fault['message']}"
        return ApiError(text, status=status, code=str(problem["code"]))
    except (ValueError, KeyError, TypeError):
        return ApiError(f"The gateway answered {status} {response.reason}", status=status)


def parse_events(lines: Iterator[bytes] | http.client.HTTPResponse) -> Iterator[ServerEvent]:
    """The events of an SSE body, line by line. An event that is cut off by the end does not count.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """
    kind, data, identity = "", [], None
    for raw in lines:
        line = raw.decode("utf-8", errors="replace").rstrip("\n").rstrip("\r")
        if not raw.endswith(b"\n"):
            return
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                kind = value
            elif name == "data":
                data.append(value)
            elif name == "id":
                identity = value
            continue
        if data:
            yield ServerEvent(kind or "message", json.loads("\n".join(data)), identity)
        kind, data, identity = "", [], None


def path_part(text: str) -> str:
    """A piece of a path, quoted."""
    return quote(text, safe="")
