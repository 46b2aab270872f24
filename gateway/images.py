"""What an uploaded image really is, by its first bytes: a declared type or a file name proves nothing."""

from __future__ import annotations

from fastapi import UploadFile

from shared.errors import ParleyError, ValidationError
from shared.schemas.persona import MAX_IMAGE, ImageType


class ImageTooLargeError(ParleyError):
    """The image has more bytes than are kept."""

    code = "image_too_large"
    status = 413
    title = "The image is too large"


def image_type(content: bytes) -> ImageType | None:
    """The type of an image that browsers show without running anything in it; ``None`` for all else."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp"
    return None


def check_image(content: bytes, field: str) -> ImageType:
    """The type of ``content``.

    Raises:
        ImageTooLargeError: it is larger than :data:`MAX_IMAGE`.
        ValidationError: it is not a PNG, JPEG, GIF or WebP image.
    """
    if len(content) > MAX_IMAGE:
        raise ImageTooLargeError(f"an image may have {MAX_IMAGE} bytes at most")
    found = image_type(content)
    if found is None:
        message = "must be a PNG, JPEG, GIF or WebP image"
        raise ValidationError(f"{field}: {message}", errors=[{"field": field, "message": message}])
    return found


async def read_image(file: UploadFile) -> tuple[ImageType, bytes]:
    """An uploaded image and its type.

    Raises:
        ImageTooLargeError, ValidationError: as :func:`check_image`.
    """
    content = await file.read(MAX_IMAGE + 1)
    return check_image(content, "file"), content
