"""The tables, one module for each aggregate."""

from shared.database.base import Base
from shared.database.models.audit import AuditEntry
from shared.database.models.chat import Conversation, Message, Persona, PersonaImage
from shared.database.models.connection import Connection
from shared.database.models.identity import ApiKey, User
from shared.database.models.job import Attempt, IdempotencyRecord, Job

__all__ = [
    "ApiKey",
    "Attempt",
    "AuditEntry",
    "Base",
    "Connection",
    "Conversation",
    "IdempotencyRecord",
    "Job",
    "Message",
    "Persona",
    "PersonaImage",
    "User",
]
