"""The official ``openai`` client, unchanged, and a real model behind what ``parley up`` started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.support.parley_command import ParleyCommand
from tests.support.servers import backend, server_directory

pytestmark = pytest.mark.skipif(backend() != "embedded", reason="the stack starts its own servers")


@pytest.fixture(scope="module")
def client(local_model: Path) -> Iterator[openai.OpenAI]:
    with server_directory() as root:
        parley = ParleyCommand(root / "data", {"PARLEY_LOCAL_MODEL_PATH": str(local_model)})
        parley.run("up", "--detach", "--port", "0", "--workers", "1")
        try:
            key = parley.data.admin_key.read_text().strip()
            with openai.OpenAI(base_url=f"{parley.status()['url']}/v1", api_key=key) as client:
                yield client
        finally:
            parley.run("down")


def test_a_program_written_for_openai_works(client: openai.OpenAI) -> None:
    listed = {model.id for model in client.models.list()}
    (model,) = listed - {"persona:Ava"}
    assert model.startswith("local/")
    whole = client.chat.completions.create(
        model=model,
        messages=[
            {"role": "system", "content": "You answer in one short sentence."},
            {"role": "user", "content": "What is the capital of France?"},
        ],
        temperature=0,
        seed=1,
        max_tokens=40,
    )
    text = whole.choices[0].message.content
    assert text
    assert "Paris" in text
    assert whole.usage is not None
    assert whole.usage.prompt_tokens > 10
    assert 0 < whole.usage.completion_tokens <= 40

    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Say hello to everybody in the room, one after the other."}],
        max_tokens=30,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = list(stream)
    assert last.choices == []
    assert last.usage is not None
    # Text comes in pieces, not at the end.
    assert len([chunk for chunk in chunks if chunk.choices[0].delta.content]) > 3
    assert chunks[-1].choices[0].finish_reason in {"stop", "length"}

    for _ in range(2):
        with client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "Count to 1000."}],
            max_tokens=4000,
            stream=True,
        ) as early:
            assert next(chunk for chunk in early if chunk.choices[0].delta.content)
    # The model is free again at once: it has two slots, which those two would have held for minutes.
    assert client.chat.completions.create(
        model=model.removeprefix("local/"), messages=[{"role": "user", "content": "Hi"}], max_tokens=5
    ).choices

    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": "Hi"}])
