"""PNG files come from anywhere: what is read of them is whole, and what is wrong with others is told."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cards.card import CardError, read_png_card
from shared.cards.png import PNGError, chunks
from tests.unit.cards.samples import (
    IDAT,
    IEND,
    IHDR,
    PIXEL,
    SIGNATURE,
    V1,
    chunk,
    png,
    text_chunk,
    v2,
    v3,
)


def test_the_chunks_of_a_picture_are_all_its_bytes() -> None:
    found = list(chunks(PIXEL))
    assert [piece.type for piece in found] == [b"IHDR", b"IDAT", b"IEND"]
    assert SIGNATURE + b"".join(bytes(piece.raw) for piece in found) == PIXEL


def test_v3_wins_over_v2_and_the_picture_loses_both() -> None:
    asset = text_chunk(b"chara-ext-asset_:1", "x")
    comment = chunk(b"tEXt", b"Comment\x00mine")
    content = png(text_chunk(b"chara", v2(name="Old")), asset, comment, text_chunk(b"ccv3", v3(name="New")))
    card, picture = read_png_card(content + b"<script>trailing")
    assert (card.spec, card.data.name) == ("v3", "New")
    assert picture == png(comment)


@pytest.mark.parametrize(("value", "spec"), [(V1, "v1"), (v2(), "v2"), (v3(), "v3")])
def test_a_chara_chunk_may_hold_any_version(value: dict[str, object], spec: str) -> None:
    assert read_png_card(png(text_chunk(b"chara", value)))[0].spec == spec
    assert read_png_card(png(text_chunk(b"Chara", value)))[0].spec == spec


def test_base64_may_be_broken_into_lines_and_unpadded() -> None:
    whole = text_chunk(b"chara", V1)[8 + len(b"chara\x00") : -4]
    lines = b"\r\n".join(whole[at : at + 76] for at in range(0, len(whole), 76)).rstrip(b"=")
    assert read_png_card(png(chunk(b"tEXt", b"chara\x00" + lines)))[0].data.name == "Mirel"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not a PNG"),
        (b"GIF89a", "is not a PNG"),
        (SIGNATURE, "is cut off at byte 8"),
        (SIGNATURE + IHDR, "the end chunk is missing"),
        (SIGNATURE + IHDR[:-3], "is cut off: the chunk IHDR"),
        (SIGNATURE + IEND, "does not begin with a header"),
        (SIGNATURE + chunk(b"IHDR", b""), "does not begin with a header"),
        (
            SIGNATURE + IHDR + b"\xff\xff\xff\xfftEXt" + b"x" * 50,
            "the chunk tEXt at byte 33 has 4294967295 bytes",
        ),
        (SIGNATURE + IHDR + b"\x00\x00\x00\x00\x00\x00\x00\x00rubbish", "no chunk begins at byte 33"),
        (png(chunk(b"tEXt", b"") * 50_001), "more than 50000 chunks"),
        (PIXEL, "has no character card"),
        (png(chunk(b"zTXt", b"chara\x00\x00" + zlib.compress(b"0" * 10_000_000))), "in a zTXt chunk"),
        (png(chunk(b"iTXt", b"ccv3\x00\x01\x00\x00\x00" + zlib.compress(b"{}"))), "in a iTXt chunk"),
        (png(text_chunk(b"chara", V1)[:-1] + b"\x00"), "checksum is wrong"),
    ],
)
def test_what_is_damaged_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(PNGError, match=told) as caught:
        read_png_card(content)
    assert caught.value.errors[0]["field"] == "image"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "is not JSON"),
        (b"!!!!", "must be base64"),
        (b"A", "must be base64"),
        (b"/////w==", "is not JSON in UTF-8"),
        (b"W10=", "must be the JSON object"),
        (b"bnVsbA==", "must be the JSON object"),
        (b"W" * 6_000_000, "bytes at most"),
        (base64.b64encode(b"[" * 101 + b"]" * 101), "100 levels"),
        (base64.b64encode(b'{"a":' * 5_000 + b"1" + b"}" * 5_000), "is not JSON"),
        (base64.b64encode(b'{"name": "x", "description": "\\ud800"}'), "is not JSON"),
        (base64.b64encode(b'{"name": "x", "scenario": NaN}'), "is not JSON"),
    ],
)
def test_what_is_no_card_is_refused(text: bytes, told: str) -> None:
    with pytest.raises(CardError, match=told) as caught:
        read_png_card(png(chunk(b"tEXt", b"chara\x00" + text)))
    assert caught.value.errors[0]["field"].startswith("chara")


@given(st.binary(max_size=200), st.integers(0, len(PIXEL)))
def test_no_bytes_raise_anything_else(inserted: bytes, at: int) -> None:
    for content in (SIGNATURE + inserted, PIXEL[:at] + inserted + PIXEL[at:], PIXEL[:at]):
        with pytest.raises((PNGError, CardError)):
            read_png_card(content)


def test_the_checksums_of_the_picture_itself_are_not_asked() -> None:
    broken = IDAT[:-1] + bytes([IDAT[-1] ^ 1])
    content = SIGNATURE + IHDR + broken + text_chunk(b"chara", V1) + IEND
    assert read_png_card(content)[1] == SIGNATURE + IHDR + broken + IEND
