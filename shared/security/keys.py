"""API keys: 256 random bits behind a readable prefix; only their SHA-256 is kept."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from dataclasses import dataclass, field

_ALPHABET = string.ascii_letters + string.digits

#: What a key made by Parley looks like: ``parley_<8 characters>_<43 characters>``.
KEY_PATTERN = re.compile(r"parley_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}")

#: Longest key that is looked up, in characters; an operator's own key (``PARLEY_ADMIN_KEY``) fits, too.
MAX_KEY = 512

#: Shown in lists in place of a prefix for a key that an operator chose: its characters are all secret.
CHOSEN_PREFIX = "chosen"


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key at the only moment at which it is known."""

    #: The key itself.
    key: str = field(repr=False)
    #: Its first characters, by which lists name it.
    prefix: str
    #: SHA-256 of it.
    key_hash: bytes = field(repr=False)


def generate() -> NewKey:
    """A new key. Its 256 random bits make a plain hash safe to keep: it cannot be searched."""
    prefix = "parley_" + "".join(secrets.choice(_ALPHABET) for _ in range(8))
    key = f"{prefix}_{secrets.token_urlsafe(32)}"
    return NewKey(key=key, prefix=prefix, key_hash=hash_key(key))


def hash_key(key: str) -> bytes:
    """SHA-256 of a key, as it is stored and looked up."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def prefix_of(key: str) -> str:
    """The part of ``key`` that lists may show."""
    return key[: len("parley_") + 8] if KEY_PATTERN.fullmatch(key) else CHOSEN_PREFIX
