"""HTTP/1.1 as the server speaks it, with a bound on what comes before a request is known."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Most bytes of a request line and its headers. They are held in memory before anybody is asked for a key.
MAX_HEAD = 256 * 1024


class BoundedHttpProtocol(HttpToolsProtocol):
    """The server's protocol; it hangs up on a head that does not end."""

    _head = 0
    _in_head = True

    def data_received(self, data: bytes) -> None:
        """Parse ``data``, unless it makes the head too long."""
        if self.transport.is_closing():
            return
        self._head += len(data)
        super().data_received(data)
        if not self._in_head:
            self._head = 0
        elif self._head > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response(f"The head of a request may have {MAX_HEAD} bytes at most.")

    def on_headers_complete(self) -> None:
        """The head has ended."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request has ended; the head of another one may follow."""
        super().on_message_complete()
        self._in_head = True
        self._head = 0
