"""What is sent to run an experiment: JSON around a configuration, or the YAML file itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import pydantic
from fastapi import Request
from fastapi.exceptions import RequestValidationError

from gateway.exchange.incoming import UnsupportedMediaTypeError
from shared.errors import ValidationError
from shared.schemas.experiment.asked import SeedSource
from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.reading import read_config
from shared.schemas.experiments import ExperimentCreate
from shared.schemas.text import storable

_JSON = frozenset({"", "application/json", "text/json"})
_YAML = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})

#: What the OpenAPI document says of the body.
REQUEST_BODY = {
    "required": True,
    "description": "A configuration: within JSON, or the YAML file itself.",
    "content": {
        "application/json": {"schema": ExperimentCreate.model_json_schema()},
        "application/yaml": {"schema": {"type": "string"}},
    },
}


@dataclass(frozen=True, slots=True)
class Options:
    """The query parameters that go with a YAML file; JSON has them in its body."""

    name: str | None
    seed: int | None
    connection: str | None
    file: str | None
    seed_source: SeedSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A configuration as it was sent, not read yet.

    Attributes:
        document: the JSON object, or the YAML text.
        seed_source: where ``seed`` is from, if the request says so.
        source: the YAML text.
        file: the name of its file.
    """

    document: Mapping[str, Any] | str
    name: str | None
    seed: int | None
    connection: str | None
    seed_source: SeedSource | None = None
    source: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        """Refuse a source of no seed.

        Raises:
            ValidationError: ``seed_source`` came without ``seed``.
        """
        if self.seed_source is not None and self.seed is None:
            message = "says where seed is from; send seed with it"
            raise ValidationError(
                f"seed_source: {message}", errors=[{"field": "seed_source", "message": message}]
            )

    def config(self) -> ExperimentConfig:
        """The configuration.

        Raises:
            ValidationError: it is not valid; ``errors`` name the keys by their path.
        """
        return read_config(self.document)

    @property
    def shown_name(self) -> str:
        """What the experiment is called: as asked for, else as its file."""
        stem = PurePath(self.file.replace("\\", "/")).stem if self.file else ""
        return (self.name or stem or "experiment")[:200]


async def receive(request: Request, options: Options) -> Submitted:
    """The configuration in a request.

    Raises:
        UnsupportedMediaTypeError: it is neither JSON nor YAML.
        RequestValidationError, ValidationError: what is around the configuration is not valid.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _YAML:
        return _yaml(await request.body(), options)
    if kind not in _JSON and not kind.endswith("+json"):
        raise UnsupportedMediaTypeError(
            f'{kind[:100]} is not read here; send application/json ({{"config": …}}) or application/yaml'
        )
    return _json(await _decoded(request), options)


def _yaml(body: bytes, options: Options) -> Submitted:
    try:
        source = storable(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 (at byte {error.start})"
        raise ValidationError(f"body: {message}", errors=[{"field": "body", "message": message}]) from error
    except ValueError as error:
        raise ValidationError(f"body: {error}", errors=[{"field": "body", "message": str(error)}]) from error
    return Submitted(
        document=source,
        source=source,
        name=options.name,
        seed=options.seed,
        seed_source=options.seed_source,
        connection=options.connection,
        file=options.file,
    )


def _json(value: Any, options: Options) -> Submitted:
    for name in ("name", "seed", "seed_source", "connection", "file"):
        if getattr(options, name) is not None:
            message = "goes with a YAML file; in JSON it stands in the body"
            raise ValidationError(f"{name}: {message}", errors=[{"field": name, "message": message}])
    try:
        body = ExperimentCreate.model_validate(value)
    except pydantic.ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise RequestValidationError(
            [{**fault, "loc": ("body", *fault["loc"])} for fault in faults]
        ) from error
    return Submitted(
        document=body.config,
        name=body.name,
        seed=body.seed,
        seed_source=body.seed_source,
        connection=body.connection,
    )


async def _decoded(request: Request) -> Any:
    try:
        return await request.json()
    except json.JSONDecodeError as error:
        raise RequestValidationError(
            [{"type": "json_invalid", "loc": ("body", error.pos), "msg": "", "ctx": {"error": error.msg}}]
        ) from error
