"""What a script prints, up to its limit."""

from __future__ import annotations

from typing import Any

from workers.sandbox.language.errors import LimitReached
from workers.sandbox.language.values import storable


class Printed:
    """Collects printed text; over the limit the script ends, whatever it catches."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes of UTF-8 that a run may print and publish together."""
        self.limit = limit
        self.exceeded = False
        self._parts: list[str] = []
        self._size = 0

    def write(self, text: str) -> None:
        """Add text.

        Raises:
            LimitReached: there is more than the limit; what fits is kept.
        """
        if self.exceeded:
            raise LimitReached(self.message())
        room = self.limit - self._size
        encoded = storable(text[: room + 1]).encode()
        if len(encoded) > room or len(text) > room:
            self._parts.append(encoded[:room].decode(errors="ignore"))
            self._size = self.limit
            self.exceeded = True
            raise LimitReached(self.message())
        self._parts.append(encoded.decode())
        self._size += len(encoded)

    def message(self) -> str:
        """Why the script ended."""
        return f"the script gave out more than {self.limit} bytes: print and publish less"

    @property
    def room(self) -> int:
        """Bytes that are left."""
        return self.limit - self._size

    def text(self) -> str:
        """Everything printed so far."""
        return "".join(self._parts)


def make_print(printed: Printed) -> Any:
    """The `print` of a run."""

    def print(*values: Any, sep: Any = " ", end: Any = "\n", file: None = None, flush: bool = False) -> None:
        if file is not None:
            raise TypeError("print: `file` is not available, the output is always captured: leave it out")
        sep, end = " " if sep is None else sep, "\n" if end is None else end
        if type(sep) is not str or type(end) is not str:
            raise TypeError("print: sep and end must be strings")
        for place, value in enumerate(values):
            if place:
                printed.write(sep)
            printed.write(str(value))
        printed.write(end)

    print.__qualname__ = "print"
    return print
