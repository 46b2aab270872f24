"""How an operator asks whether a process works."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Live(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Check(BaseModel):
    """One dependency: whether it answers, and after how long."""

    status: Literal["ok", "failed", "timeout"]
    milliseconds: float


class Ready(BaseModel):
    """Whether the process can serve: every dependency by its name.

    ``degraded``: what fails is what whoever asked wanted left out.
    """

    status: Literal["ready", "degraded", "not_ready", "stopping"]
    checks: dict[str, Check]

    @property
    def serves(self) -> bool:
        """Whether requests may be sent to the process."""
        return self.status in ("ready", "degraded")
