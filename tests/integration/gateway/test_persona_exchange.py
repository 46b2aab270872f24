"""Personas travel with their modules: out as a file, in whole or not at all."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from contextlib import AsyncExitStack
from typing import Any

import httpx
import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

from gateway.exchange.incoming import Incoming, read
from shared.schemas.persona import MAX_IMAGE
from shared.schemas.persona_file import MEDIA_TYPES, FileFormat, PersonaFile
from shared.settings import Settings
from tests.integration.gateway.conftest import ADMIN_KEY, User, client_of, fields, problem, running
from tests.integration.gateway.test_personas import WHOLE, new
from tests.support.stack import Stack
from tests.unit.cards.samples import PIXEL, V1, book, chunk, entry, png, text_chunk, v2, v3
from tests.unit.gateway.persona_files import persona_files

IMPORT = "/api/personas/import"


async def module(user: User, name: str, content: str, **body: Any) -> dict[str, Any]:
    answer = await user.http.post("/api/modules", json={"name": name, "content": content, **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def names(user: User, path: str) -> list[str]:
    return sorted(item["name"] for item in (await user.http.get(path)).json()["items"])


async def export(user: User, persona_id: str, form: str = "json") -> httpx.Response:
    answer = await user.http.get(f"/api/personas/{persona_id}/export", params={"format": form})
    assert answer.status_code == 200, answer.text
    return answer


def file(*modules: dict[str, Any], template: str = "You are Ava. @a @b", **more: Any) -> dict[str, Any]:
    return {
        "format": "parley.persona",
        "version": 1,
        "persona": {"name": "Ava", "template": template},
        "modules": list(modules),
        **more,
    }


A = {"name": "a", "content": "A, then @b"}
B = {"name": "b", "content": "B"}


def actions(report: dict[str, Any]) -> dict[str, str]:
    return {item["becomes"]: item["action"] for item in [report["persona"], *report["modules"]]}


@pytest.mark.parametrize("form", ["json", "yaml"])
async def test_a_persona_travels_with_the_modules_that_it_reaches(ada: User, eve: User, form: str) -> None:
    await module(ada, "deep", "Deep.\nTwo lines: é.\n", priority=7, fallback="none", trigger_pattern="a|b")
    await module(ada, "memory", "@deep and @nowhere", description="Middle", state_scope="persona")
    await module(ada, "unused", "Not reached.")
    made = await new(ada, name='Ava "the\\great" Ü', template="You are Ava.\n\n@memory \\@unused ${x}")
    await ada.http.post(f"/api/personas/{made['id']}/image", files={"file": ("x.png", PIXEL)})
    await ada.http.post(
        "/api/connections",
        json={"name": "mine", "provider": "openai", "settings": {"api_key": "sk-of-ada", "model": "m"}},
    )
    exported = await export(ada, made["id"], form)
    assert exported.headers["content-type"].startswith(f"application/{form}")
    disposition = f'attachment; filename="Ava-the-great.persona.{form}"'
    assert exported.headers["content-disposition"] == disposition
    document = yaml.load(exported.text, Loader=yaml.CSafeLoader)
    assert (document["format"], document["version"]) == ("parley.persona", 1)
    assert [module["name"] for module in document["modules"]] == ["deep", "memory"]
    for private in (made["id"], ada.id, "owner", "created_at", "sk-of-ada", "connection"):
        assert private not in exported.text

    answer = await eve.http.post(
        IMPORT, content=exported.content, headers={"Content-Type": f"application/{form}"}
    )
    assert answer.status_code == 201, answer.text
    report = answer.json()
    assert (report["dry_run"], report["conflict"], report["source"]) == (False, False, "file")
    assert [item["action"] for item in report["modules"]] == ["create", "create"]
    persona = report["made"]
    assert report["persona"] == {
        "name": made["name"], "action": "create", "becomes": made["name"], "id": persona["id"],
    }  # fmt: skip
    same = {"name", "description", "template", "mode", "first_message", "history", "extra_data", "is_active"}
    assert {name: persona[name] for name in same} == {name: made[name] for name in same}
    assert (await eve.http.get(persona["image_url"])).content == PIXEL
    assert report["notes"] == ["the file names these modules, which are neither in it nor here: nowhere"]
    assert (await export(eve, persona["id"], form)).content == exported.content
    deep = (await eve.http.get(f"/api/modules/{report['modules'][0]['id']}")).json()
    assert (deep["priority"], deep["fallback"], deep["trigger_pattern"]) == (7, "none", "a|b")


async def test_what_is_there_and_equal_is_left_alone(ada: User) -> None:
    first = (await ada.http.post(IMPORT, json=file(A, B))).json()
    again = await ada.http.post(IMPORT, json=file(B, A))
    assert again.status_code == 200
    assert actions(again.json()) == {"Ava": "same", "b": "same", "a": "same"}
    assert again.json()["made"] == first["made"]
    assert again.json()["modules"][1]["id"] == first["modules"][0]["id"]
    assert await names(ada, "/api/personas") == ["Ava"]
    assert await names(ada, "/api/modules") == ["a", "b"]
    # Another persona with the same modules shares them.
    other = file(A, B)
    other["persona"]["name"] = "Bob"
    made = await ada.http.post(IMPORT, json=other)
    assert made.status_code == 201
    assert actions(made.json()) == {"Bob": "create", "a": "same", "b": "same"}


async def test_a_taken_name_is_a_conflict_and_nothing_is_made(ada: User) -> None:
    await module(ada, "b", "Mine.")
    dry = await ada.http.post(IMPORT, params={"dry_run": True}, json=file(A, B))
    assert dry.status_code == 200
    assert dry.json()["conflict"] is True
    assert actions(dry.json()) == {"Ava": "create", "a": "create", "b": "conflict"}
    clash = problem(await ada.http.post(IMPORT, json=file(A, B)), 409, "name_taken")
    assert fields(clash) == {"modules.1.name"}
    assert "rename=true" in clash["detail"]
    assert await names(ada, "/api/personas") == []
    assert await names(ada, "/api/modules") == ["b"]


async def test_a_new_name_is_followed_and_a_dry_run_tells_it(ada: User) -> None:
    mine = await module(ada, "b", "Mine.")
    await new(ada, name="Ava")
    params = {"rename": True}
    dry = (await ada.http.post(IMPORT, params={**params, "dry_run": True}, json=file(A, B))).json()
    assert dry["conflict"] is False
    assert dry["made"] is None
    assert await names(ada, "/api/modules") == ["b"]
    report = (await ada.http.post(IMPORT, params=params, json=file(A, B))).json()
    assert actions(report) == actions(dry) == {"Ava (2)": "renamed", "a": "create", "b_2": "renamed"}
    assert report["made"]["template"] == "You are Ava. @a @b_2"
    a, b = [(await ada.http.get(f"/api/modules/{item['id']}")).json() for item in report["modules"]]
    assert (a["content"], b["content"]) == ("A, then @b_2", "B")
    assert (await ada.http.get(f"/api/modules/{mine['id']}")).json() == mine
    document = (await export(ada, report["made"]["id"])).json()
    assert [module["name"] for module in document["modules"]] == ["a", "b_2"]


async def test_long_persona_names_get_a_number_too(ada: User) -> None:
    long = "x" * 255
    await new(ada, name=long)
    document = {"persona": {**WHOLE, "name": long, "template": "t"}}
    problem(await ada.http.post(IMPORT, json=document), 409, "name_taken")
    made = await ada.http.post(IMPORT, params={"rename": True}, json=document)
    assert made.json()["made"]["name"] == "x" * 251 + " (2)"


async def test_one_transaction(ada: User) -> None:
    """Two imports at once: one is whole, and the other one too, or refused."""
    files = [file(A, B), file({**A, "content": "Other, then @b"}, B)]
    files[1]["persona"]["name"] = "Bob"
    answers = await asyncio.gather(*(ada.http.post(IMPORT, json=each) for each in files * 3))
    for answer in answers:
        assert answer.status_code in (200, 201) or problem(answer, 409, "name_taken")
    made = await names(ada, "/api/personas")
    assert len(made) == 1, "they differ in a module of one name"
    assert await names(ada, "/api/modules") == ["a", "b"]


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "persona"),
        ([], "body"),
        ("text", "body"),
        ({"persona": {}}, "persona.name"),
        (file(A, B, persona={**WHOLE, "mode": "autonomous"}), "persona.mode"),
        (file(A, B, persona={**WHOLE, "id": "7"}), "persona.id"),
        (file(version=2), "version"),
        (file(format="other"), "format"),
        (file(A, {"name": "Bad Name"}), "modules.1.name"),
        (file(A, {"name": "b", "type": "advanced"}), "modules.1.script"),
        (file(A, {"name": "b", "script": "x = 1"}), "modules.1.script"),
        (file(A, {"name": "b", "trigger_pattern": "("}), "modules.1.trigger_pattern"),
        (file(A, {"name": "b", "requires_ai_inference": True}), "modules.1.requires_ai_inference"),
        (file({"name": "b", "content": "a\x00b"}), "modules.0.content"),
        (file(A, A), "body"),
        (file(image={"content_type": "image/svg+xml", "data": ""}), "image.content_type"),
        (file(image={"content_type": "image/png", "data": "!"}), "image.data"),
        (
            file(image={"content_type": "image/png", "data": base64.b64encode(b"<svg/>").decode()}),
            "image.data",
        ),
        (v2(name=""), "data.name"),
        ({"spec": "chara_card_v9", "data": {}}, "spec"),
    ],
)
async def test_a_file_is_checked_whole(ada: User, document: Any, field: str, dry_run: bool) -> None:
    for content, kind in (
        (json.dumps(document), "application/json"),
        (yaml.safe_dump(document), "application/yaml"),
    ):
        answer = await ada.http.post(
            IMPORT, params={"dry_run": dry_run}, content=content, headers={"Content-Type": kind}
        )
        assert field in fields(problem(answer, 422, "validation_error"))
    assert await names(ada, "/api/personas") == []
    assert await names(ada, "/api/modules") == []


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed_json"),
        (b'{"a": NaN}', "application/json", 400, "malformed_json"),
        (b"[" * 5000 + b"]" * 5000, "application/json", 400, "malformed_json"),
        (b"[" * 500 + b"]" * 500, "application/json", 422, "validation_error"),
        (b"a: *b", "application/yaml", 422, "validation_error"),
        (b"[" * 5000, "text/yaml", 422, "validation_error"),
        (b"\xff", "application/x-yaml; charset=utf-8", 422, "validation_error"),
        (PIXEL, "image/png", 422, "validation_error"),
        (PIXEL[:30], "image/png", 422, "validation_error"),
        (b"<html>", "text/html", 415, "unsupported_media_type"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"PK\x03\x04card", "application/octet-stream", 415, "unsupported_media_type"),
        (b"\xff\xd8\xff\xe0", "application/octet-stream", 415, "unsupported_media_type"),
        (b"", "application/json", 400, "malformed_json"),
        (b"", "application/octet-stream", 422, "validation_error"),
        (b"--b", "multipart/form-data", 400, "bad_request"),
        (b"--b--\r\n", "multipart/form-data; boundary=b", 422, "validation_error"),
    ],
)
async def test_what_cannot_be_read_is_refused(
    ada: User, content: bytes, kind: str, status: int, code: str
) -> None:
    answer = await ada.http.post(IMPORT, content=content, headers={"Content-Type": kind})
    problem(answer, status, code)


async def test_a_card_becomes_a_persona_with_its_picture(ada: User) -> None:
    lore = book(
        entry("storm", content="Storms last @long.", name="Storm"),
        entry(content="Always.", constant=True, name="Rule"),
    )
    picture = png(text_chunk(b"chara", v2(name="Old")), text_chunk(b"ccv3", v3(character_book=lore)))
    answer = await ada.http.post(IMPORT, content=picture, headers={"Content-Type": "image/png"})
    assert answer.status_code == 201, answer.text
    report = answer.json()
    assert report["source"] == "character_card"
    assert actions(report) == {"Mirel": "create", "mirel_storm": "create", "mirel_rule": "create"}
    made = report["made"]
    assert made["first_message"] == "*looks up* You are late, User."
    assert made["description"] == "Best with long answers."
    assert made["extra_data"]["character_card"]["tags"] == ["sea", "slow"]
    assert (await ada.http.get(made["image_url"])).content == PIXEL
    document = (await export(ada, made["id"])).json()
    assert [module["name"] for module in document["modules"]] == ["mirel_rule", "mirel_storm"]
    again = await ada.http.post(IMPORT, content=picture, headers={"Content-Type": "image/png"})
    assert (again.status_code, again.json()["persona"]["action"]) == (200, "same")


@pytest.mark.parametrize("card", [V1, v2(), v3()])
async def test_cards_come_as_json_too(ada: User, card: dict[str, Any]) -> None:
    report = (await ada.http.post(IMPORT, json=card)).json()
    assert (report["source"], report["persona"]["becomes"]) == ("character_card", "Mirel")
    assert report["made"]["image_url"] is None


async def test_a_picture_larger_than_is_kept_is_refused(ada: User) -> None:
    padded = png(text_chunk(b"chara", V1), chunk(b"prVt", b"x" * MAX_IMAGE))
    answer = await ada.http.post(IMPORT, content=padded, headers={"Content-Type": "image/png"})
    problem(answer, 413, "image_too_large")
    assert await names(ada, "/api/personas") == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("card.png", png(text_chunk(b"chara", v2()))),
        ("card.json", json.dumps(v2()).encode()),
        ("ava.persona.yaml", yaml.safe_dump(file(A, B)).encode()),
        ("ava", json.dumps(file(A, B)).encode()),
        ("ava", yaml.safe_dump(file(A, B)).encode()),
        ("ava.json", b"\xef\xbb\xbf" + json.dumps(file(A, B)).encode()),
    ],
)
async def test_a_form_tells_by_what_is_in_the_file(ada: User, name: str, content: bytes) -> None:
    headers = {"Idempotency-Key": "k-1"}
    sent = {"file": (name, content, "text/html")}
    answer = await ada.http.post(IMPORT, files=sent, headers=headers)
    assert answer.status_code == 201, answer.text
    again = await ada.http.post(IMPORT, files=sent, headers=headers)
    assert (again.status_code, again.json()) == (201, answer.json())
    assert again.headers["idempotent-replayed"] == "true"
    other = {"file": (name, content + b" ", "text/html")}
    problem(await ada.http.post(IMPORT, files=other, headers=headers), 422, "idempotency_key_reused")


async def test_what_is_somebody_elses_is_no_conflict_and_is_not_used(ada: User, eve: User) -> None:
    await module(ada, "b", "Ada's.")
    report = (await eve.http.post(IMPORT, json=file(A))).json()
    assert actions(report) == {"Ava": "create", "a": "create"}
    assert report["notes"] == ["the file names these modules, which are neither in it nor here: b"]
    await module(eve, "b", "Eve's.")
    document = file(A)
    document["persona"]["name"] = "Bob"
    noted = (await eve.http.post(IMPORT, json=document)).json()["notes"]
    assert noted == ["the file does not bring these modules that it names; yours are used: b"]


def test_export_import_export_gives_the_same_file(settings: Settings) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> httpx.AsyncClient:
            app = await stack.enter_async_context(running(settings))
            return await stack.enter_async_context(client_of(app, ADMIN_KEY))

        admin = runner.run(start())
        numbers = itertools.count()

        async def travel(file: PersonaFile, form: FileFormat) -> None:
            """Through two users of their own, who have nothing yet."""
            sent, kind = file.write(form), MEDIA_TYPES[form]
            for number in range(2):
                user = (await admin.post("/api/users", json={"name": f"user-{next(numbers)}"})).json()
                key = (await admin.post(f"/api/users/{user['id']}/keys", json={})).json()["key"]
                headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
                answer = await admin.post(IMPORT, content=sent.encode(), headers=headers)
                assert answer.status_code == 201, answer.text
                url = f"/api/personas/{answer.json()['made']['id']}/export"
                exported = await admin.get(url, params={"format": form}, headers=headers)
                assert read(Incoming(exported.content, form)).file == file
                # Postgres has its own order of the keys of extra_data: it is the same from then on.
                assert number == 0 or exported.text == sent
                sent = exported.text

        @hypothesis.settings(max_examples=15, deadline=None)
        @hypothesis.given(persona_files(), st.sampled_from(["json", "yaml"]))
        def check(file: PersonaFile, form: FileFormat) -> None:
            runner.run(travel(file, form))

        try:
            check()
        finally:
            runner.run(stack.aclose())


SCRIPT = 'seen = ctx.run_module("b")\nother = await ctx.run_module(name="c")\n'


def scripted() -> dict[str, Any]:
    document = file(
        {"name": "a", "type": "advanced", "script": SCRIPT, "content": "${seen} @b"},
        {"name": "b", "type": "advanced", "script": "word = 'sea'", "content": "${word}"},
        {"name": "c", "content": "C", "execution_context": "ON_DEMAND"},
        template="@a",
    )
    document["persona"]["name"] = "Scripted"
    return document


async def test_scripts_are_compiled_and_follow_new_names(stack: Stack) -> None:
    user = stack.user()
    async with user.http() as http:
        made = await http.post(IMPORT, json=scripted())
        assert made.status_code == 201, made.text
        modules = {item["name"]: item["id"] for item in made.json()["modules"]}
        a = (await http.get(f"/api/modules/{modules['a']}")).json()
        assert a["script_analysis"]["module_names"] == ["b", "c"]
        exported = (await http.get(f"/api/personas/{made.json()['made']['id']}/export")).json()
        assert [module["name"] for module in exported["modules"]] == ["a", "b", "c"]
        assert exported["modules"][0]["script"] == SCRIPT
        # b changes here, so that the file's b is another one, and with it the a that runs it.
        await http.patch(f"/api/modules/{modules['b']}", json={"content": "changed"})
        renamed = await http.post(IMPORT, params={"rename": True}, json=exported)
        assert renamed.status_code == 201, renamed.text
        assert actions(renamed.json()) == {
            "Scripted (2)": "renamed",
            "a_2": "renamed",
            "b_2": "renamed",
            "c": "same",
        }
        a = (await http.get(f"/api/modules/{renamed.json()['modules'][0]['id']}")).json()
        assert a["script"] == SCRIPT.replace('"b"', '"b_2"')
        assert a["script_analysis"]["module_names"] == ["b_2", "c"]
        assert a["content"] == "${seen} @b_2"


@pytest.mark.parametrize("dry_run", [True, False])
async def test_scripts_that_do_not_compile_refuse_the_whole_file(stack: Stack, dry_run: bool) -> None:
    user = stack.user()
    document = scripted()
    document["modules"][1]["script"] = "x = 1\ny = = 2\n"
    async with user.http() as http:
        answer = await http.post(IMPORT, params={"dry_run": dry_run}, json=document)
        assert answer.status_code == 422, answer.text
        (fault,) = answer.json()["errors"]
        assert (fault["field"], fault["line"]) == ("modules.1.script", 2)
        for path, name in (("/api/modules", "a"), ("/api/personas", "Scripted")):
            assert name not in {item["name"] for item in (await http.get(path)).json()["items"]}


async def test_a_script_whose_call_cannot_be_followed_refuses_the_renaming(stack: Stack) -> None:
    user = stack.user()
    document = scripted()
    document["modules"][0]["script"] = 'x = ctx.run_module("b" "")\n'
    async with user.http() as http:
        await http.post("/api/modules", json={"name": "b", "content": "another"})
        answer = await http.post(IMPORT, params={"rename": True}, json=document)
        found = {module["name"] for module in (await http.get("/api/modules")).json()["items"]}
        assert found & {"a", "b", "b_2", "c"} == {"b"}
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["field"] == "modules.0.script"
        assert "rename the module" in answer.json()["detail"]
