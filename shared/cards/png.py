"""The chunks of a PNG file. The picture is never decoded, and nothing compressed is ever expanded.

Source: https://www.w3.org/TR/png-3/#5DataRep
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from shared.errors import ValidationError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: An animation of thousands of frames stays below it.
MAX_CHUNKS = 50_000

_FRAME = 12  # bytes of a chunk beside its data: length, type, checksum


class PNGError(ValidationError):
    """The file is no PNG, or a damaged one."""

    title = "The PNG cannot be read"

    def __init__(self, message: str) -> None:
        super().__init__(f"image: {message}", errors=[{"field": "image", "message": message}])


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk: its four-letter type, its data, and all its bytes as they stand in the file."""

    type: bytes
    data: memoryview
    raw: memoryview

    def keyword(self) -> str | None:
        """The keyword of a text chunk (``tEXt``, ``zTXt``, ``iTXt``); ``None`` for every other chunk."""
        if self.type not in (b"tEXt", b"zTXt", b"iTXt"):
            return None
        head, separator, _ = bytes(self.data[:80]).partition(b"\x00")
        return head.decode("latin-1") if separator else None

    def text(self) -> bytes:
        """The text of a ``tEXt`` chunk.

        Raises:
            PNGError: its checksum is wrong.
        """
        if zlib.crc32(self.raw[4:-4]) != int.from_bytes(self.raw[-4:], "big"):
            raise PNGError(f"the text chunk {self.keyword()!r} is damaged: its checksum is wrong")
        return bytes(self.data).partition(b"\x00")[2]


def chunks(content: bytes) -> Iterator[Chunk]:
    """The chunks in order, up to and with the end chunk; what lies behind it is not looked at.

    Raises:
        PNGError: it is no PNG, ends too early, or has more than :data:`MAX_CHUNKS` chunks.
    """
    if not content.startswith(SIGNATURE):
        raise PNGError("is not a PNG file")
    view = memoryview(content)
    position = len(SIGNATURE)
    for number in range(MAX_CHUNKS):
        head = bytes(view[position : position + 8])
        if len(head) < 8:
            raise PNGError(f"is cut off at byte {len(content)}: the end chunk is missing")
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if not kind.isalpha():
            raise PNGError(f"is damaged: no chunk begins at byte {position}")
        if number == 0 and (kind != b"IHDR" or length != 13):
            raise PNGError("is damaged: it does not begin with a header chunk (IHDR)")
        left = len(content) - position - _FRAME
        if length > left:
            name = kind.decode("latin-1")
            raise PNGError(
                f"is cut off: the chunk {name} at byte {position} has {length} bytes, {left} are left"
            )
        raw = view[position : position + _FRAME + length]
        yield Chunk(kind, raw[8:-4], raw)
        if kind == b"IEND":
            return
        position += _FRAME + length
    raise PNGError(f"has more than {MAX_CHUNKS} chunks")
