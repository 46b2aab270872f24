"""Cards as other applications write them, and PNG files made by hand."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk."""
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


IHDR = chunk(b"IHDR", b"\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00")
IDAT = chunk(b"IDAT", zlib.compress(b"\x00\x7f"))
IEND = chunk(b"IEND", b"")
#: A picture of one grey pixel.
PIXEL = SIGNATURE + IHDR + IDAT + IEND


def png(*inner: bytes, end: bytes = IEND) -> bytes:
    """The pixel with these chunks in it."""
    return SIGNATURE + IHDR + b"".join(inner) + IDAT + end


def text_chunk(keyword: bytes, value: Any) -> bytes:
    """A ``tEXt`` chunk with a card in it, as cards are embedded."""
    return chunk(b"tEXt", keyword + b"\x00" + base64.b64encode(json.dumps(value).encode()))


V1: dict[str, Any] = {
    "name": "Mirel",
    "description": "{{char}} keeps the lighthouse.",
    "personality": "dry, patient",
    "scenario": "A storm is coming.",
    "first_mes": "*looks up* You are late, {{user}}.",
    "mes_example": "<START>\n{{user}}: Is it safe?\n{{char}}: It is a rock.\n"
    "<START>\n<USER>: Hi\n<BOT>: Mind the step.",
}


def v2(**changes: Any) -> dict[str, Any]:
    """A V2 card, with the V1 fields that applications put beside it."""
    data = {
        **V1,
        "creator_notes": "Best with long answers.",
        "system_prompt": "",
        "post_history_instructions": "",
        "alternate_greetings": [],
        "tags": ["sea", "slow"],
        "creator": "someone",
        "character_version": "1.2",
        "extensions": {"depth_prompt": {"depth": 4, "prompt": ""}},
        **changes,
    }
    return {"spec": "chara_card_v2", "spec_version": "2.0", "data": data, **V1}


def v3(**changes: Any) -> dict[str, Any]:
    """A V3 card."""
    data = {**v2()["data"], "group_only_greetings": [], "nickname": "Mi", **changes}
    return {"spec": "chara_card_v3", "spec_version": "3.0", "data": data}


def entry(*keys: str, content: str = "Something.", **changes: Any) -> dict[str, Any]:
    """An entry of a lorebook."""
    return {
        "keys": list(keys), "content": content, "extensions": {}, "enabled": True, "insertion_order": 100,
        "use_regex": False, **changes,
    }  # fmt: skip


def book(*entries: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A lorebook."""
    return {"name": "", "extensions": {}, "entries": list(entries), **changes}
