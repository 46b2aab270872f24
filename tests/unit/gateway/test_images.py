"""An image is what its bytes say."""

from __future__ import annotations

import pytest

from gateway.images import ImageTooLargeError, check_image, image_type
from shared.errors import ValidationError
from shared.schemas.persona import MAX_IMAGE

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (PNG + b"rest", "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"GIF87a..", "image/gif"),
        (b"GIF89a..", "image/gif"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", None),
        (b"<!doctype html><script>", None),
        (b"%PDF-1.7", None),
        (b"", None),
        (b"\x89PNG", None),
    ],
)
def test_types(content: bytes, found: str | None) -> None:
    assert image_type(content) == found


def test_others_and_large_ones_are_refused() -> None:
    assert check_image(PNG + b"\x00" * (MAX_IMAGE - len(PNG)), "file") == "image/png"
    with pytest.raises(ImageTooLargeError):
        check_image(PNG + b"\x00" * MAX_IMAGE, "file")
    with pytest.raises(ValidationError, match="PNG, JPEG, GIF or WebP"):
        check_image(b"<svg/>", "file")
