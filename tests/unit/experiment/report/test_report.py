"""A report shows the whole result, holds everything itself, and what models wrote is data in it."""

from __future__ import annotations

import copy
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.unit.experiment.result import sample
from workers.experiment.report.chart import Picture
from workers.experiment.report.citation import citation
from workers.experiment.report.growth import growth
from workers.experiment.report.palette import LOOKS, ink_on, shortened, width
from workers.experiment.report.payoffs import payoffs
from workers.experiment.report.rankings import rankings
from workers.experiment.report.render import PICTURES, render
from workers.experiment.report.speaking import speaking
from workers.experiment.report.tokens import by_place, tokens
from workers.experiment.report.votes import votes
from workers.experiment.result.build import build
from workers.experiment.result.canonical import digest
from workers.experiment.result.run import PartialPhase2, Reason, RunStatus

HOSTILE = (
    "</text></svg></p><script>alert(1)</script><img src=x onerror=alert(1)> $\\frac{a}{b}$ & \"'\x00\x1b"
)
#: What a page of a report is made of; nothing else is in it.
VOID = {"meta", "br"}


class Page(HTMLParser):
    """The elements of a page, and whether they are well nested."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.ids: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return build(sample.run())


@pytest.fixture(scope="module")
def page(result: dict[str, Any]) -> Page:
    return Page(render(result))


def hostile(result: dict[str, Any]) -> dict[str, Any]:
    """The result with every text replaced by one that would break out."""

    def spoil(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: spoil(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [spoil(item, key) for item in value]
        return HOSTILE if isinstance(value, str) and key not in ("principle", "role") else value

    return spoil(copy.deepcopy(result))


def test_it_says_what_came_of_the_run(page: Page, result: dict[str, Any]) -> None:
    words = " ".join(page.words)

    assert "consensus on Average with a floor of $14,000" in words
    assert "three agents" in words
    assert "small (configured: local)" in words
    assert "代理三" in words
    assert "I speak for <b>a floor</b> & fairness." in words
    assert citation(result) in words
    assert "a tie: Highest floor, Highest average" in words


@pytest.mark.parametrize("draw", PICTURES, ids=lambda draw: draw.__name__)
def test_each_picture_has_its_words_and_its_table(
    draw: Callable[[Any], Picture], result: dict[str, Any], page: Page
) -> None:
    shown = draw(result)

    assert shown.svg is not None
    assert shown.table.rows
    assert all(len(row) == len(shown.table.heads) for row in shown.table.rows)
    assert ("aria-label", f"{shown.title}. {shown.alt}") in page.attributes
    # Text is text: it is found, read aloud, and shown in whatever fonts the reader has.
    root = ET.fromstring(shown.svg)
    written = "".join(
        "".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")
    )
    assert ("代理三" in written) or draw is tokens or draw is payoffs
    assert "font" in next(root.iter("{http://www.w3.org/2000/svg}text")).attrib["style"]


def test_the_same_result_gives_the_same_bytes(result: dict[str, Any]) -> None:
    assert render(copy.deepcopy(result)) == render(result)


def test_it_is_made_in_good_time(result: dict[str, Any]) -> None:
    begun = time.process_time()
    render(result)

    assert time.process_time() - begun < 3


def test_it_loads_and_runs_nothing(page: Page) -> None:
    assert "script" not in page.tags
    assert not {"link", "img", "iframe", "object", "embed", "base", "form", "image"} & set(page.tags)
    assert [name for name, _ in page.attributes if name.startswith("on")] == []
    pointers = [value for name, value in page.attributes if name in ("href", "src", "xlink:href")]
    assert all(value and value.startswith("#") for value in pointers)
    assert not [value for _, value in page.attributes if value and re.search(r"url\((?!#)", value)]


def test_ids_are_unique_and_every_pointer_has_its_aim(page: Page) -> None:
    aims = {value[1:] for name, value in page.attributes if value and name in ("href", "xlink:href")}
    aims |= {aim for _, value in page.attributes for aim in re.findall(r"url\(#([^)]+)\)", value or "")}

    assert len(page.ids) == len(set(page.ids))
    assert aims <= set(page.ids)
    assert aims


def test_whatever_the_result_says_is_text(result: dict[str, Any], page: Page) -> None:
    spoilt = hostile(result)

    shown = render(spoilt)

    hostile_page = Page(shown)
    assert set(hostile_page.tags) <= set(page.tags) | {"p"}
    assert [name for name, _ in hostile_page.attributes if name.startswith("on")] == []
    assert not re.search("[\x00\x1b]", shown)
    assert "<script" not in shown
    assert "<script>" in " ".join(hostile_page.words)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"phase_1": (), "phase_2": None, "spent": ()}, id="nothing was done"),
        pytest.param({"phase_2": None}, id="phase 1 only"),
        pytest.param({"phase_2": PartialPhase2(rounds=sample.rounds()[:1])}, id="one round"),
        pytest.param(
            {"phase_1": (), "phase_2": PartialPhase2(), "models": {}, "versions": {}}, id="empty group"
        ),
    ],
)
def test_a_run_that_did_not_come_to_its_end(changes: dict[str, Any]) -> None:
    run = sample.run(status=RunStatus.INCOMPLETE, reason=Reason("cancelled", "It was stopped."), **changes)

    words = " ".join(Page(render(build(run))).words)

    assert "It was stopped." in words
    assert "says nothing about agreement" in words
    assert "not known: the run is not complete" in words


def test_a_group_that_never_voted() -> None:
    whole = sample.group()
    silent = tuple(
        replace(round_, vote=sample.VoteRound(round=round_.number, trigger="none")) for round_ in whole.rounds
    )

    shown = votes(build(sample.run(phase_2=replace(whole, rounds=silent))))

    assert shown.svg is None
    assert shown.alt == "No vote was called."


def test_large_groups_and_long_runs_have_a_picture_too() -> None:
    names = [f"A participant with a rather long name, number {number}" for number in range(40)]
    config = sample.config(
        agents=[{"name": name, "personality": "x"} for name in names], phase2_rounds=45, manipulator=None
    )
    one = sample.rounds()[1]
    rounds = tuple(
        replace(
            one,
            number=number,
            speaking_order=tuple(names),
            statements=tuple(sample.statement(name, number, sample.FLOOR) for name in names),
            vote=sample.VoteRound(round=number, trigger="none"),
        )
        for number in range(1, 46)
    )
    group = PartialPhase2(rounds=rounds, memory_growth={name: tuple(range(46)) for name in names})
    result = build(sample.run(config=config, phase_1=(), phase_2=group, status=RunStatus.CRASHED))
    begun = time.process_time()

    page = Page(render(result))

    assert time.process_time() - begun < 10
    words = " ".join(page.words)
    assert "The last 22 rounds are shown." in words
    assert "The 16 longest are shown." in words
    assert "and 800 more, in the result" in words


def test_rounds_are_counted_together_when_they_are_many() -> None:
    rows = [{"phase": 1, "round": None, "input_tokens": 5, "output_tokens": 1}]
    rows += [{"phase": 2, "round": number, "input_tokens": 2, "output_tokens": 1} for number in range(1, 46)]
    rows += [{"phase": 2, "round": None, "input_tokens": 7, "output_tokens": 1}]

    places = by_place(rows)

    assert places[0] == ("phase 1", 5, 1)
    assert places[1] == ("rounds 1–2", 4, 2)
    assert places[-2:] == [("round 45", 2, 1), ("end", 7, 1)]
    assert by_place(rows[:4])[1:] == [(f"round {number}", 2, 1) for number in (1, 2, 3)]


def test_what_the_rankings_say_in_words(result: dict[str, Any]) -> None:
    assert rankings(result).alt == (
        "First choices at the start: Average with a floor 1, Highest average 1, Highest floor 1; "
        "at the end: Average with a floor 3."
    )


def test_the_tables_tell_what_the_pictures_show(result: dict[str, Any]) -> None:
    assert ("2", "2", "代理三", "Highest floor") in speaking(result).table.rows
    assert ("1", "3", "代理三", "no valid statement") in speaking(result).table.rows
    assert (
        "2",
        "代理三",
        "abstains (unreadable)",
        "–",
        "not decided (principle disagreement)",
    ) in votes(result).table.rows
    assert ("1", "Agent_2", "takes part: no", "–", "no ballot") in votes(result).table.rows
    assert payoffs(result).table.rows[1][:3] == ("Agent_2", "low", "$1.40")
    assert growth(result).table.rows[0] == ("Agent_1", "900", "1,800", "2,700", "3,600")
    assert tokens(result).table.rows[-1][0] == "all"


def test_a_citation_identifies_the_run(result: dict[str, Any]) -> None:
    told = citation(result)

    for part in (
        "Run three agents (complete)",
        f"Configuration, SHA-256: {'c' * 64}",
        f"Design (any seed, these models), SHA-256: {'e' * 64}",
        f"Prompts, SHA-256: {'f' * 64}",
        "Seed: 21000 (of the configuration)",
        digest(result),
        "Parley 1.0.0, python 3.11.9\n",
        "sha256:5b5b",
        "small (answered as small-instruct)",
    ):
        assert part in told


@pytest.mark.parametrize(
    ("source", "words"),
    [("request", "given"), ("derived", "derived from the configuration"), ("drawn", "drawn")],
)
def test_a_report_says_where_the_seed_is_from(source: str, words: str) -> None:
    other = build(sample.run(seed_source=source))

    assert f"Seed: 21000 ({words})" in citation(other)
    assert f"21000 ({words})" in Page(render(other)).words


def test_runs_without_names_and_versions_are_cited() -> None:
    bare = build(sample.run(name=None, experiment_id=None, versions={}, models={}, started_at=None))

    assert "without a name" in citation(bare)
    assert Page(render(bare)).tags


@pytest.mark.parametrize("colour", [look.colour for look in LOOKS.values()])
def test_letters_can_be_read_on_their_colours(colour: str) -> None:
    def luminance(of: str) -> float:
        channels = [int(of[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(colour), luminance(ink_on(colour))), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_principles_differ_in_colour_mark_and_sign() -> None:
    for attribute in ("colour", "marker", "sign", "name"):
        assert len({getattr(look, attribute) for look in LOOKS.values()}) == len(LOOKS)


@pytest.mark.parametrize(
    ("text", "columns", "short"), [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("代理三号", 5, "代理…")]
)
def test_labels_are_cut_by_the_columns_that_they_take(text: str, columns: int, short: str) -> None:
    assert shortened(text, columns) == short
    assert width(short) <= columns
