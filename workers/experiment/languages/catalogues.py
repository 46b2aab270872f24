"""The catalogues of texts: read from their files, and compared with each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from shared.schemas.experiment.terms import Language

#: Where the catalogues are: ``<language>/<section>.yaml``.
FOLDER = Path(__file__).parent

#: ``{name}``: so narrow that the braces of a JSON example stay what they are.
PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


class CatalogueError(Exception):
    """A catalogue that is not complete, or a text that is asked for wrongly: a fault of the program.

    Attributes:
        problems: each names the language, the section and the key.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_catalogue(language: Language, folder: Path = FOLDER) -> dict[str, str]:
    """All texts of a language, by ``section.key`` (``section.group.key`` where a file nests).

    Raises:
        CatalogueError: a file is no YAML mapping of texts, or gives a key twice.
    """
    texts: dict[str, str] = {}
    problems: list[str] = []
    for path in sorted((folder / language.value).glob("*.yaml")):
        where = f"{language.value}/{path.name}"
        try:
            document = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506
        except yaml.YAMLError as error:
            problems.append(f"{where}: not readable as YAML: {error}")
            continue
        if not isinstance(document, Mapping):
            problems.append(f"{where}: a mapping of keys to texts is expected")
            continue
        for key, value in _flat(document, path.stem):
            if isinstance(value, str) and value.strip():
                texts[key] = value.strip("\n")
            else:
                problems.append(
                    f"{where}: {key}: a text is expected, not {type(value).__name__} {value!r}; quote "
                    "what YAML takes for a number or a truth value"
                )
    if problems:
        raise CatalogueError(*problems)
    return texts


def placeholders(text: str) -> frozenset[str]:
    """The names that ``text`` wants values for."""
    return frozenset(PLACEHOLDER.findall(text))


def differences(catalogues: Mapping[Language, Mapping[str, str]]) -> list[str]:
    """What some language has and another has not: sections, keys, placeholders."""
    found: list[str] = []
    keys = sorted({key for texts in catalogues.values() for key in texts})
    sections = {language: {key.split(".")[0] for key in texts} for language, texts in catalogues.items()}
    absent: set[tuple[Language, str]] = set()
    for section in sorted(set().union(*sections.values())):
        for language in catalogues:
            if section not in sections[language]:
                absent.add((language, section))
                found.append(f"{language.value}: the section {section}.yaml is missing")
    for key in keys:
        having = {language: texts[key] for language, texts in catalogues.items() if key in texts}
        wanted = frozenset[str]().union(*(placeholders(text) for text in having.values()))
        for language in catalogues:
            if language not in having:
                if (language, key.split(".")[0]) not in absent:
                    found.append(f"{language.value}: the key {key} is missing")
                continue
            for name in sorted(wanted - placeholders(having[language])):
                found.append(f"{language.value}: {key}: the placeholder {{{name}}} is missing")
    return found


def _flat(document: Mapping[object, object], prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in document.items():
        name = f"{prefix}.{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        else:
            yield name, value


class _UniqueKeys(yaml.SafeLoader):
    """A key given twice would silently hide a text."""


def _unique_mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[object, object]:
    mapping: dict[object, object] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in mapping:
            raise yaml.MarkedYAMLError(
                problem=f"the key {key!r} is given twice", problem_mark=key_node.start_mark
            )
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)
