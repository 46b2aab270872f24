"""The official client, on the session's stack."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import openai
import pytest

from tests.support.stack import Stack, StackUser


@pytest.fixture
async def client(user: StackUser) -> AsyncIterator[openai.AsyncOpenAI]:
    """A client of a user whose default connection is the fake model; it repeats no request by itself."""
    async with openai.AsyncOpenAI(
        base_url=f"{user.stack.url}/v1", api_key=user.key, max_retries=0, timeout=30
    ) as made:
        yield made


@pytest.fixture
def sync_client(stack: Stack) -> Iterator[Callable[[StackUser], openai.OpenAI]]:
    """Makes clients that block, as most programs use them."""
    with ExitStack() as clients:

        def make(user: StackUser) -> openai.OpenAI:
            return clients.enter_context(
                openai.OpenAI(base_url=f"{stack.url}/v1", api_key=user.key, max_retries=0, timeout=30)
            )

        yield make
