"""The twins in memory keep the contract of the ports."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pytest

from tests.support.plugin_contract import GeneratorContract, Ports, PortsContract, World
from workers.sandbox.plugins.buffer import MemoryChanges
from workers.sandbox.plugins.errors import GenerationFailed
from workers.sandbox.plugins.ports import ConversationInfo, Generator, PersonaInfo
from workers.sandbox.plugins.testing import (
    NOON,
    InMemoryInfo,
    InMemoryMemories,
    InMemoryMessages,
    ScriptedGenerator,
    said,
)


class InMemoryWorld:
    foreign_ids: Sequence[str] = (str(uuid.UUID(int=0xF0F0)),)

    async def conversation(self, messages: Sequence[tuple[str, str]], *, persona: str | None = None) -> Ports:
        talk = [said(nth, content, role=role) for nth, (role, content) in enumerate(messages)]
        if not any(message.content == "message 0" for message in talk):
            talk = [said(nth + 100, message.content, role=message.role) for nth, message in enumerate(talk)]
        who = None if persona is None else PersonaInfo(id=str(uuid.UUID(int=0xE)), name=persona)
        conversation = ConversationInfo(
            title="Plans",
            persona_id=None if who is None else who.id,
            persona_name=persona,
            created_at=NOON,
        )
        return Ports(
            messages=InMemoryMessages(talk),
            info=InMemoryInfo(conversation, who),
            memories=InMemoryMemories(),
            ids=[message.id for message in talk],
        )

    async def commit(self, ports: Ports, changes: MemoryChanges) -> Ports:
        assert isinstance(ports.memories, InMemoryMemories)
        ports.memories.commit(changes)
        return ports


class TestInMemoryPorts(PortsContract):
    @pytest.fixture
    def world(self) -> World:
        return InMemoryWorld()


class TestScriptedGenerator(GeneratorContract):
    @pytest.fixture
    def answering(self) -> Generator:
        return ScriptedGenerator(["hello", "fine"])

    @pytest.fixture
    def failing(self) -> Generator:
        failure = GenerationFailed("provider_timeout", "the provider took too long")
        return ScriptedGenerator([failure, failure])
