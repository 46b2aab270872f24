"""Which digest of a model its provider tells."""

from __future__ import annotations

from typing import Any

import pytest

from workers.jobs.experiments.origin import told_digest
from workers.providers.ollama import response_parser as ollama
from workers.providers.openai import response_parser as openai

DIGEST = "ab" * 32


def test_ollama_tells_a_digest() -> None:
    listed = {"name": "gemma3:4b", "model": "gemma3:4b", "size": 3, "digest": DIGEST}
    (model,) = ollama.parse_models({"models": [listed]})
    assert told_digest(model.details) == DIGEST


@pytest.mark.parametrize(
    ("entry", "digest"),
    [
        ({"tags": ["small", f"sha256:{DIGEST}"]}, f"sha256:{DIGEST}"),
        ({"tags": ["small", ""]}, None),
        ({"tags": None}, None),
        ({"tags": [3, {"sha256:": 1}]}, None),
        ({"tags": f"sha256:{DIGEST}"}, None),
        ({"digest": "", "tags": [f"sha256:{DIGEST}"]}, f"sha256:{DIGEST}"),
        ({"digest": 7}, None),
        ({}, None),
    ],
)
def test_the_local_server_tells_the_hash_of_its_file(entry: dict[str, Any], digest: str | None) -> None:
    (model,) = openai.parse_models({"data": [{"id": "local", **entry}]})
    assert told_digest(model.details) == digest
