"""The tables, one module for each aggregate."""

from shared.database.base import Base
from shared.database.models.audit import AuditEntry
from shared.database.models.chat import Conversation, Message, Persona, PersonaImage
from shared.database.models.connection import Connection
from shared.database.models.experiment import (
    Experiment,
    ExperimentEvent,
    ExperimentResult,
    ExperimentStep,
)
from shared.database.models.identity import ApiKey, User
from shared.database.models.job import Attempt, IdempotencyRecord, Job
from shared.database.models.memory import Memory
from shared.database.models.module import Module, ModuleState
from shared.database.models.trace import TurnTrace

__all__ = [
    "ApiKey",
    "Attempt",
    "AuditEntry",
    "Base",
    "Connection",
    "Conversation",
    "Experiment",
    "ExperimentEvent",
    "ExperimentResult",
    "ExperimentStep",
    "IdempotencyRecord",
    "Job",
    "Memory",
    "Message",
    "Module",
    "ModuleState",
    "Persona",
    "PersonaImage",
    "TurnTrace",
    "User",
]
