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
    """Whether the process can serve: every dependency by its name."""

    status: Literal["ready", "not_ready", "stopping"]
    checks: dict[str, Check]
