"""The base of everything that crosses the wire."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """A body of the HTTP contract: an unknown field is an error, so that a misspelt one is not lost."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())
