"""``parley experiment examples``: configurations that come with Parley, known by their names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

import deploy
from deploy.cli.users import JsonOption

#: In an installation the examples lie inside the package, in a checkout beside it.
_INSTALLED = Path(deploy.__file__).parent / "examples"
_CHECKOUT = Path(deploy.__file__).parent.parent / "examples"
#: Characters of a meaning that fit into a line of the list.
_LONGEST = 110


def directory() -> Path:
    """The folder that holds the examples."""
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


def names() -> list[str]:
    """What the examples are called."""
    return sorted(path.stem for path in directory().glob("*.yaml"))


def named(name: str) -> Path | None:
    """The file of the example of this name; ``None`` when there is none."""
    return directory() / f"{name}.yaml" if name in names() else None


def file_or_example(path: Path) -> Path:
    """The file that is meant: the path, or the example of this name where there is no such file.

    Raises:
        typer.BadParameter: it is a bare name, and there is neither.
    """
    if path.exists() or path.suffix or path == Path("-") or path != Path(path.name):
        return path
    if (example := named(path.name)) is not None:
        return example
    raise typer.BadParameter(f"there is no file {path}; the examples are {', '.join(names())}")


def meaning(name: str) -> str:
    """The first sentence of an example's opening comment.

    Raises:
        KeyError: there is no such example.
    """
    path = named(name)
    if path is None:
        raise KeyError(name)
    words: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.removeprefix("#").strip()
        if not line.startswith("#") or not text:
            break
        words += text.split()
        if text.endswith((".", "?")):
            break
    sentence = re.split(r"(?<=[.?]) ", " ".join(words), maxsplit=1)[0]
    return sentence if len(sentence) <= _LONGEST else sentence.split(":")[0] + "."


def examples(
    name: Annotated[
        str | None, typer.Argument(help="Print this one instead of the list.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the configurations that come with Parley, or print one of them.

    Their names stand wherever CONFIG is asked for: `parley experiment run quick`.

    Exit status: 0 listed or printed; 2 there is none of this name.
    """
    if name is not None:
        path = named(name)
        if path is None:
            raise typer.BadParameter(
                f"there is no example {name!r}; there are {', '.join(names())}", param_hint="NAME"
            )
        typer.echo(path.read_text(encoding="utf-8"), nl=False)
        return
    listed = {name: meaning(name) for name in names()}
    if as_json:
        typer.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    width = max(map(len, listed), default=0)
    for one, said in listed.items():
        typer.echo(f"{one:<{width}}  {said}")
