"""Kubernetes objects against the schemas of Kubernetes, and of the operators that Parley speaks to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.validation.outcome import Outcome, judged, missing

#: Oldest and newest Kubernetes whose schemas every object must keep.
VERSIONS = ("1.28", "1.37")
#: Schemas of kinds that do not come with Kubernetes, as far as Parley uses them.
SCHEMAS = Path(__file__).parent / "schemas"


def check(name: str, objects: Sequence[dict[str, Any]]) -> list[Outcome]:
    """Whether Kubernetes and the operators would take ``objects``; ``name`` says whose they are."""
    what = f"{name} ({len(objects)} objects, Kubernetes {' and '.join(VERSIONS)})"
    try:
        import kubernetes_validate
    except ImportError:
        return [missing(what, "pip install 'parley[validate]'")]
    del kubernetes_validate
    faults = [fault for made in objects for fault in faults_of(made)]
    return [judged(what, faults + twins(objects))]


def faults_of(made: dict[str, Any]) -> list[str]:
    """What is wrong with one object, by the schema of its kind."""
    import jsonschema
    import kubernetes_validate

    called = f"{made.get('kind')}/{made.get('metadata', {}).get('name')}"
    own = SCHEMAS / f"{made.get('kind', '').lower()}.json"
    if own.exists():
        schema = json.loads(own.read_text())
        found = jsonschema.Draft202012Validator(schema).iter_errors(made)
        return [f"{called}: {_place(error)}: {error.message}" for error in found]
    faults = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(made, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            faults.append(f"{called} ({version}): {_place(error)}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError as error:
            faults.append(f"{called} ({version}): no schema: {error.message}")
    return faults


def twins(objects: Sequence[dict[str, Any]]) -> list[str]:
    """Objects that are made twice: the second would overwrite the first."""
    seen: set[tuple[str, str]] = set()
    faults = []
    for made in objects:
        key = (made["kind"], made["metadata"]["name"])
        if key in seen:
            faults.append(f"{key[0]}/{key[1]} is made twice")
        seen.add(key)
    return faults


def _place(error: Any) -> str:
    return ".".join(str(part) for part in error.path) or "(the object)"
