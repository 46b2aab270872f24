"""Compiled scripts, as opaque bytes: made in one script's process, read in a later one, never in this one."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

#: Bytes that all kept code may take; what was used longest ago goes first.
CAPACITY = 16 * 1024 * 1024

Key = tuple[str, str, bytes, str]


class CodeCache:
    """Keyed by owner, module, source and the rules it was compiled under.

    A process that a script has taken over can hand back any bytes as its code: with owner and module in the
    key it can harm that one module, which is its own, and nothing else.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._codes: OrderedDict[Key, bytes] = OrderedDict()
        self._size = 0

    @staticmethod
    def key(owner_and_module: tuple[str, str], source: str, policy: str) -> Key:
        """``policy`` names the language rules and the interpreter."""
        digest = hashlib.sha256(source.encode(errors="surrogatepass")).digest()
        return (*owner_and_module, digest, policy)

    def get(self, key: Key) -> bytes | None:
        """The code, which is now the one used last."""
        code = self._codes.get(key)
        if code is not None:
            self._codes.move_to_end(key)
        return code

    def put(self, key: Key, code: bytes) -> None:
        """Keep ``code``."""
        self._size += len(code) - len(self._codes.pop(key, b""))
        self._codes[key] = code
        while self._size > self._capacity:
            _, oldest = self._codes.popitem(last=False)
            self._size -= len(oldest)
