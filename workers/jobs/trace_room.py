"""How much a turn's trace may hold: it is kept whole for every turn, and written anew behind every module."""

from __future__ import annotations

from typing import Any

import orjson

from shared.schemas.trace import ModuleTrace

#: Bytes of one field of a module that are kept, and of all modules of a turn together.
FIELD = 64 * 1024
TURN = 4 * 1024 * 1024
#: Bytes of a field when the turn's room is used up.
LITTLE = 512


class TraceRoom:
    """The room in one turn's trace. What does not fit is cut, and its size stands in its place."""

    def __init__(self) -> None:
        self._left = TURN

    def fit(self, module: ModuleTrace) -> ModuleTrace:
        """``module``, with what is too long in it cut."""
        if "variables" in module.inputs:
            module.inputs = {**module.inputs, "variables": self._values(module.inputs["variables"])}
        module.outputs = self._values(module.outputs)
        module.variables = self._values(module.variables)
        module.omitted = self._values(module.omitted)
        module.printed = self._text(module.printed)
        if module.output_text is not None:
            module.output_text = self._text(module.output_text)
        kept = [self._text(line.message) for line in module.log]
        module.log = [
            line.model_copy(update={"message": text}) for line, text in zip(module.log, kept, strict=True)
        ]
        return module

    def _values(self, values: dict[str, Any]) -> dict[str, Any]:
        size = len(orjson.dumps(values))
        if not self._take(size):
            return {"left_out": f"{size} bytes"}
        return values

    def _text(self, text: str) -> str:
        size = len(text.encode())
        if self._take(size):
            return text
        begin = text.encode()[: self._most // 2].decode(errors="ignore")
        return f"{begin}… ({len(text)} characters)"

    @property
    def _most(self) -> int:
        return FIELD if self._left > 0 else LITTLE

    def _take(self, size: int) -> bool:
        fits = size <= self._most
        self._left -= size if fits else LITTLE
        return fits
