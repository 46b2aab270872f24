"""What scripts reach on Postgres and on a provider keeps the contract of the ports, as the twins do."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.exc import InternalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from shared.database import direct
from shared.database.engine import create_engine
from shared.database.models import Conversation, Message, User
from shared.database.repositories import memories, personas
from shared.jobs.permits import Permits
from shared.jobs.store import AttemptLostError
from shared.schemas.controls import ProviderType
from shared.schemas.provider_settings import LOCAL_MODEL_URL
from shared.security.secrets import SecretBox
from shared.settings import Settings
from tests.fakes.process import ModelServer, start_model_server
from tests.support.plugin_contract import GeneratorContract, Ports, PortsContract, World
from workers.chat.modules.runner import TokenCount
from workers.jobs import turn_readers
from workers.jobs.script_model import ScriptModels
from workers.jobs.turn_readers import MAX_READ, TurnReader, read
from workers.jobs.turn_scripts import acts
from workers.jobs.turns import Target, parse_settings
from workers.providers.base.http_client import ProviderHttpClient
from workers.providers.base.timeouts import CallTimeouts
from workers.sandbox.plugins.buffer import MemoryChanges
from workers.sandbox.plugins.errors import CallError, GenerationFailed
from workers.sandbox.plugins.ports import GenerateCall, Generator


@dataclass
class PostgresWorld:
    """Conversations of one owner on Postgres, and one message of somebody else's."""

    engine: AsyncEngine
    owner_id: uuid.UUID = field(default_factory=uuid.uuid4)
    foreign_ids: Sequence[str] = ()

    async def begin(self) -> PostgresWorld:
        other = uuid.uuid4()
        for user_id in (self.owner_id, other):
            await self._add(User(id=user_id, name=str(user_id)))
        foreign = await self._add(Conversation(owner_id=other, title="t"))
        self.foreign_ids = [await self._say(foreign.id, None, "user", "secret")]
        return self

    async def conversation(self, messages: Sequence[tuple[str, str]], *, persona: str | None = None) -> Ports:
        persona_id: uuid.UUID | None = None
        if persona is not None:
            async with AsyncSession(self.engine) as session, session.begin():
                made = await personas.create(session, self.owner_id, {"name": persona, "template": "x"})
                persona_id = made.id
        conversation = await self._add(
            Conversation(owner_id=self.owner_id, title="Plans", persona_id=persona_id)
        )
        ids: list[str] = []
        for role, content in messages:
            ids.append(await self._say(conversation.id, ids[-1] if ids else None, role, content))
            # Beside each message lies another branch, of which nobody is to see anything.
            await self._say(conversation.id, ids[-2] if len(ids) > 1 else None, role, "elsewhere")
        return self._ports(conversation.id, persona_id, ids)

    def _ports(self, conversation_id: uuid.UUID, persona_id: uuid.UUID | None, ids: Sequence[str]) -> Ports:
        reader = TurnReader(
            self.engine,
            owner_id=self.owner_id,
            conversation_id=conversation_id,
            persona_id=None if persona_id is None else str(persona_id),
            leaf=uuid.UUID(ids[-1]) if ids else None,
            target=None,
            model=None,
        )
        return Ports(messages=reader, info=reader, memories=reader, ids=ids)

    async def commit(self, ports: Ports, changes: MemoryChanges) -> Ports:
        info = await ports.info.conversation()
        assert info.id is not None
        async with direct.begin(self.engine) as connection:
            await memories.record(
                connection,
                acts(changes),
                conversation_id=uuid.UUID(info.id),
                message_id=uuid.UUID(ports.ids[-1]),
                job_id=uuid.uuid4(),
            )
        return self._ports(
            uuid.UUID(info.id), None if info.persona_id is None else uuid.UUID(info.persona_id), ports.ids
        )

    async def _say(self, conversation_id: uuid.UUID, parent: str | None, role: str, content: str) -> str:
        parent_id = None if parent is None else uuid.UUID(parent)
        message = await self._add(
            Message(conversation_id=conversation_id, parent_id=parent_id, role=role, content=content)
        )
        return str(message.id)

    async def _add(self, row: Any) -> Any:
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            session.add(row)
        return row


@pytest.fixture
async def engine(module_postgres_url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(module_postgres_url)
    yield made
    await made.dispose()


@pytest.fixture
async def postgres_world(engine: AsyncEngine) -> PostgresWorld:
    return await PostgresWorld(engine).begin()


class TestTurnReader(PortsContract):
    @pytest.fixture
    def world(self, postgres_world: PostgresWorld) -> World:
        return postgres_world


async def test_a_reader_cannot_write(engine: AsyncEngine) -> None:
    with pytest.raises(InternalError, match="read-only transaction"):
        await read(engine, text("DELETE FROM users"), {})


async def test_another_owners_conversation_has_no_name(postgres_world: PostgresWorld) -> None:
    ports = await postgres_world.conversation([("user", "x")], persona="Juno")
    own = await ports.info.conversation()
    stranger = TurnReader(
        postgres_world.engine,
        owner_id=uuid.uuid4(),
        conversation_id=uuid.UUID(own.id or ""),
        persona_id=own.persona_id,
        leaf=None,
        target=None,
        model=None,
    )
    seen = await stranger.conversation()
    assert (seen.title, seen.persona_name, await stranger.persona()) == (None, None, None)


# Model calls ------------------------------------------------------------------------------------------------


async def test_messages_that_are_too_much_are_not_fetched(postgres_world: PostgresWorld) -> None:
    long = "ä" * (MAX_READ // 4)
    ports = await postgres_world.conversation([("user", long), ("assistant", long), ("user", "hi")])
    assert [len(said.content) for said in await ports.messages.recent(2)] == [len(long), 2]
    assert await ports.messages.count() == 3
    for asked in (ports.messages.recent(3), ports.messages.range(0, None)):
        with pytest.raises(CallError, match=f"{MAX_READ + 2} bytes, .* ask for fewer"):
            await asked


async def test_a_branch_is_gone_through_once_for_each_leaf(
    postgres_world: PostgresWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = await postgres_world.conversation([("user", "one"), ("assistant", "two"), ("user", "three")])
    reader = ports.messages
    assert isinstance(reader, TurnReader)
    asked: list[object] = []

    async def counted(engine: AsyncEngine, statement: Any, parameters: Any) -> direct.Rows:
        asked.append(statement)
        return await read(engine, statement, parameters)

    monkeypatch.setattr(turn_readers, "read", counted)
    counts = await asyncio.gather(*(reader.count() for _ in range(20)))
    assert counts == [3] * 20
    assert await reader.positions([ports.ids[2], "no id"]) == {ports.ids[2]: 2}
    assert [said.content for said in await reader.range(1, 2)] == ["two"]
    assert asked.count(turn_readers._IDS) == 1
    reader.leaf = uuid.UUID(ports.ids[1])
    assert await reader.count() == 2


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with start_model_server() as server:
        yield server


@dataclass
class Models:
    """Makes what scripts call models with, for a turn answered by the fake model of a name."""

    engine: AsyncEngine
    redis: Redis
    settings: Settings
    client: ProviderHttpClient
    server: ModelServer
    tokens: TokenCount = field(default_factory=TokenCount)
    held: bool = True

    def of(self, model: str | None, *, targeted: bool = True, base_url: str | None = None) -> Generator:
        values = {"base_url": base_url or self.server.openai_url, "model": model}
        target = Target(
            ProviderType.OPENAI,
            parse_settings(ProviderType.OPENAI, {k: v for k, v in values.items() if v is not None}),
            CallTimeouts.resolve(None, self.settings),
            None,
            None,
            None,
        )
        return ScriptModels(
            engine=self.engine,
            box=SecretBox.from_settings(self.settings),
            settings=self.settings,
            client=self.client,
            permits=Permits(self.redis, self.settings.namespace, self.settings.lease_ttl),
            owner_id=uuid.uuid4(),
            lease="job:1",
            confirm=self.confirmed,
            target=target if targeted else None,
            model=model,
        ).counting(self.tokens)

    async def confirmed(self) -> None:
        """Whether the attempt holds the job."""
        if not self.held:
            raise AttemptLostError("job:1")


@pytest.fixture
async def models(
    engine: AsyncEngine,
    redis: Redis,
    module_postgres_url: str,
    redis_url: str,
    tmp_path: Path,
    model: ModelServer,
) -> AsyncIterator[Models]:
    settings = Settings(database_url=module_postgres_url, redis_url=redis_url, data_dir=tmp_path)
    client = ProviderHttpClient(settings)
    yield Models(engine, redis, settings, client, model)
    await client.aclose()


class TestScriptModel(GeneratorContract):
    @pytest.fixture
    def answering(self, models: Models) -> Generator:
        return models.of("fake")

    @pytest.fixture
    def failing(self, models: Models) -> Generator:
        return models.of("fault-401")

    async def test_tokens_are_counted(self, models: Models) -> None:
        generator = models.of("fake/tokens=3")
        await generator.generate(self.call())
        once = (models.tokens.input, models.tokens.output)
        assert once[1] == 3
        await generator.reflect(self.reflection())
        assert models.tokens.output == 6
        assert models.tokens.input > once[0] > 0

    @pytest.mark.parametrize(
        ("given", "code"),
        [
            ({"provider": "ollama"}, "connection_not_found"),
            ({"provider": "nobody"}, "connection_not_found"),
            ({"model": "missing"}, "model_not_found"),
        ],
    )
    async def test_what_is_not_there_is_told(self, models: Models, given: dict[str, str], code: str) -> None:
        call = GenerateCall(instructions="x", controls=self.call().controls, **given)
        with pytest.raises(GenerationFailed) as failed:
            await models.of("fake").generate(call)
        assert failed.value.code == code

    async def test_the_local_server_is_asked_for_its_own_model_only(self, models: Models) -> None:
        generator = models.of(models.settings.local_model_name, base_url=LOCAL_MODEL_URL)
        call = GenerateCall(instructions="x", controls=self.call().controls, model="another")
        with pytest.raises(GenerationFailed) as failed:
            await generator.generate(call)
        assert (failed.value.code, "'another'" in failed.value.message) == ("model_not_found", True)

    @pytest.mark.parametrize(
        ("named", "targeted", "code"),
        [("fake", False, "connection_not_found"), (None, True, "model_missing")],
    )
    async def test_nothing_to_call_is_told(
        self, models: Models, named: str | None, targeted: bool, code: str
    ) -> None:
        with pytest.raises(GenerationFailed) as failed:
            await models.of(named, targeted=targeted).generate(self.call())
        assert failed.value.code == code

    async def test_an_attempt_that_was_lost_calls_nobody(self, models: Models) -> None:
        models.held = False
        models.server.reset()
        with pytest.raises(AttemptLostError):
            await models.of("fake").generate(self.call())
        assert models.server.log() == []
