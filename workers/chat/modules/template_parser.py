"""Parsed templates, kept: the same persona and modules come turn after turn."""

from __future__ import annotations

from functools import lru_cache

from shared.schemas.template import Template, parse

#: Templates that are kept parsed, and the longest that is kept: 20 MB of text at the most.
KEPT = 2048
LONGEST_KEPT = 10_000
#: Longer ones, up to what a persona may have.
KEPT_LONG = 16

_kept = lru_cache(KEPT)(parse)
_kept_long = lru_cache(KEPT_LONG)(parse)


class TemplateParser:
    """Reads templates by the grammar of :mod:`shared.schemas.template`."""

    def parse(self, template: str) -> Template:
        """The tree of ``template``; the same object for the same text while it is kept."""
        return _kept(template) if len(template) <= LONGEST_KEPT else _kept_long(template)

    def parse_template(self, template: str) -> list[str]:
        """The modules that ``template`` refers to, each once, in first-seen order."""
        return list(self.parse(template).names) if "@" in template else []


def is_plain(template: str) -> bool:
    """Whether ``template`` is only text: nothing to resolve, without even parsing it."""
    return "@" not in template and "${" not in template
