"""Modules: the owner's, and those that a turn may need."""

from __future__ import annotations

import functools
import operator
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.direct import Connection
from shared.database.models import Module
from shared.database.repositories import owned
from shared.database.repositories.statements import statement
from shared.errors import TooManyModulesError, UnknownModuleError
from shared.schemas import template
from shared.schemas.page import Position

#: For a round trip that carries other statements too: run it with :func:`turn_parameters`, read its rows with
#: :meth:`TurnModule.from_row`.
TURN_MODULES = statement("turn_modules")
#: How many modules an owner may have, and bytes of content, script and fallback in all of them together: a
#: turn may need every one, and reads them whole.
MAX_MODULES = 2_000
MAX_TEXT = 32 * 1024 * 1024
_REACHED = statement("reached_modules")


async def create(
    session: AsyncSession,
    owner_id: uuid.UUID,
    values: Mapping[str, Any],
    *,
    analysis: Mapping[str, Any] | None = None,
) -> Module:
    """Make a module from the fields of :class:`shared.schemas.module.ModuleCreate`.

    Args:
        session: within a transaction.
        owner_id: whose it is.
        values: its fields, checked.
        analysis: what the sandbox found in its script (``ScriptAnalysis`` as JSON).

    Raises:
        NameTakenError: the owner has one of that name.
    """
    module = Module(owner_id=owner_id, **{name: value for name, value in values.items() if value is not None})
    _derive(module, analysis)
    session.add(module)
    await _flush(session)
    return module


async def get(
    session: AsyncSession, owner_id: uuid.UUID, module_id: uuid.UUID, *, lock: bool = False
) -> Module:
    """A module of the owner.

    Raises:
        UnknownModuleError: there is none.
    """
    return await owned.get(session, Module, owner_id, module_id, UnknownModuleError, lock=lock)


async def list_(
    session: AsyncSession,
    owner_id: uuid.UUID,
    *,
    limit: int,
    after: Position | None = None,
    type_: str | None = None,
    active_only: bool = False,
) -> Sequence[Module]:
    """The owner's modules, newest first."""
    query = select(Module).where(Module.owner_id == owner_id)
    if type_ is not None:
        query = query.where(Module.type == type_)
    if active_only:
        query = query.where(Module.is_active)
    return await owned.page(session, query, Module, limit=limit, after=after)


async def update(
    session: AsyncSession,
    module: Module,
    changes: Mapping[str, Any],
    *,
    analysis: Mapping[str, Any] | None = None,
) -> None:
    """Change fields of a locked module; ``analysis`` comes with a new script.

    Raises:
        NameTakenError: the owner has another one of that name.
    """
    owned.assign(module, changes)
    _derive(module, analysis if "script" in changes else module.script_analysis)
    await _flush(session)
    await session.refresh(module)


async def check_room(session: AsyncSession, owner_id: uuid.UUID) -> None:
    """Refuse what was made or changed in this transaction when it is more than an owner may have.

    Raises:
        TooManyModulesError: it is.
    """
    texts = (
        func.coalesce(func.octet_length(text), 0) for text in (Module.content, Module.script, Module.fallback)
    )
    size = func.coalesce(func.sum(functools.reduce(operator.add, texts)), 0)
    count, size = (await session.execute(select(func.count(), size).where(Module.owner_id == owner_id))).one()
    if count > MAX_MODULES:
        raise TooManyModulesError(
            f"you would have {count} modules, and {MAX_MODULES} are the most; delete some that nothing needs"
        )
    if size > MAX_TEXT:
        raise TooManyModulesError(
            f"your modules would have {size} bytes of text together, and {MAX_TEXT} are the most; shorten or "
            "delete some"
        )


async def remove(session: AsyncSession, module: Module) -> None:
    """Delete a module with its state; templates that name it show its name from then on."""
    await session.delete(module)
    await session.flush()


async def named(session: AsyncSession, owner_id: uuid.UUID, names: Iterable[str]) -> dict[str, Module]:
    """The owner's modules of these names, as far as they exist."""
    found = await session.scalars(
        select(Module).where(Module.owner_id == owner_id, Module.name.in_(sorted(set(names))))
    )
    return {module.name: module for module in found}


async def reached(session: AsyncSession, owner_id: uuid.UUID, names: Iterable[str]) -> dict[str, Module]:
    """The owner's modules of these names, and those that they name in turn; inactive ones too."""
    query = select(Module).from_statement(_REACHED)
    found = await session.scalars(query, {"owner_id": owner_id, "names": list(names)})
    return {module.name: module for module in found}


@dataclass(frozen=True, slots=True)
class TurnModule:
    """A module that a turn may need, with its variables as the turn's branch (or persona) left them.

    Attributes:
        module_names: all that it may need.
        called_names: of these, what its script gives to ``run_module``.
        variables: ``None`` where it has not run yet.
        executed_at: likewise.
    """

    id: uuid.UUID
    name: str
    type: str
    content: str | None
    script: str | None
    execution_context: str
    trigger_pattern: str | None
    priority: int
    fallback: str | None
    state_scope: str
    requires_ai_inference: bool
    module_names: tuple[str, ...]
    called_names: tuple[str, ...]
    is_active: bool
    variables: dict[str, Any] | None
    executed_at: datetime | None

    @classmethod
    def from_row(cls, row: Any) -> TurnModule:
        """From a row of :data:`TURN_MODULES`."""
        fields = {name: getattr(row, name) for name in cls.__slots__}
        names = {name: tuple(fields[name]) for name in ("module_names", "called_names")}
        return cls(**{**fields, **names})


def turn_parameters(
    owner_id: uuid.UUID,
    *,
    names: Sequence[str] = (),
    persona_id: uuid.UUID | None = None,
    conversation_id: uuid.UUID | None = None,
    leaf: uuid.UUID | None = None,
) -> dict[str, Any]:
    """Parameters of :data:`TURN_MODULES`.

    Args:
        owner_id: whose modules.
        names: names besides those in the persona's template: what the client asks for, or those of a template
            that is no persona's.
        persona_id: whose template, and whose state of the scope ``persona``.
        conversation_id: where state of the scope ``conversation`` lies.
        leaf: the message that the turn answers: state is seen from there upwards.
    """
    return {
        "owner_id": owner_id,
        "names": list(names),
        "persona_id": persona_id,
        "conversation_id": conversation_id,
        "leaf": leaf,
    }


async def of_turn(connection: Connection, owner_id: uuid.UUID, **options: Any) -> list[TurnModule]:
    """The modules that a turn may need, in no order; ``options`` as for :func:`turn_parameters`."""
    rows = await connection.execute(TURN_MODULES, turn_parameters(owner_id, **options))
    return [TurnModule.from_row(row) for row in rows]


def _derive(module: Module, analysis: Mapping[str, Any] | None) -> None:
    """Set what follows from content and script."""
    names = dict.fromkeys(template.names(module.content or ""))
    if analysis is not None:
        names |= dict.fromkeys(analysis["module_names"])
    module.module_names = list(names)
    module.requires_ai_inference = bool(analysis and analysis["requires_ai_inference"])
    if analysis is not None:
        module.script_analysis = dict(analysis)
    elif module.script_analysis is not None:
        owned.assign(module, {"script_analysis": None})


async def _flush(session: AsyncSession) -> None:
    await owned.flush(session, "module", "uq_modules_owner_id_name")
