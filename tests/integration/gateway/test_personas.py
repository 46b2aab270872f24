"""Personas: CRUD, images that are what they say, and a document that carries one elsewhere."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from shared.schemas.persona import MAX_IMAGE
from tests.integration.gateway.conftest import User, fields, problem

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 32
GIF = b"GIF89a" + b"\x00" * 32

WHOLE = {
    "name": "Ava",
    "description": "Helpful.",
    "template": "You are Ava. @memory",
    "mode": "reactive",
    "first_message": "Hello.",
    "history": {"max_messages": 0, "max_tokens": 2000},
    "extra_data": {"colour": "blue", "nested": {"a": [1, None, "ü"]}},
    "is_active": True,
}


async def new(user: User, **body: Any) -> dict[str, Any]:
    answer = await user.http.post("/api/personas", json={**WHOLE, **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_what_is_sent_is_kept(ada: User) -> None:
    made = await new(ada)
    assert WHOLE.items() <= made.items()
    assert made["image_url"] is None
    assert (await ada.http.get(f"/api/personas/{made['id']}")).json() == made


async def test_only_what_is_sent_is_changed(ada: User) -> None:
    made = await new(ada)
    url = f"/api/personas/{made['id']}"
    changed = (await ada.http.patch(url, json={"name": "Eva", "history": None, "first_message": None})).json()
    assert (changed["name"], changed["history"], changed["first_message"]) == ("Eva", None, None)
    assert changed["template"] == WHOLE["template"]
    assert changed["extra_data"] == WHOLE["extra_data"]
    assert changed["updated_at"] > made["updated_at"]
    for body in (
        {"name": None},
        {"template": None},
        {"mode": None},
        {"is_active": None},
        {"extra_data": None},
    ):
        assert fields(problem(await ada.http.patch(url, json=body), 422, "validation_error")) == set(body)
    refused = problem(await ada.http.patch(url, json={"mode": "autonomous"}), 422, "validation_error")
    assert "use reactive" in refused["detail"]


async def test_names_are_unique_for_their_owner_only(ada: User, eve: User) -> None:
    await new(ada)
    other = await new(ada, name="  Bob ")
    assert other["name"] == "Bob"
    clash = problem(await ada.http.post("/api/personas", json=WHOLE), 409, "name_taken")
    assert fields(clash) == {"name"}
    renamed = await ada.http.patch(f"/api/personas/{other['id']}", json={"name": "Ava"})
    problem(renamed, 409, "name_taken")
    await new(eve)


async def test_listing_active_ones(ada: User) -> None:
    await new(ada)
    await new(ada, name="Old", is_active=False)
    everyone = (await ada.http.get("/api/personas")).json()["items"]
    active = (await ada.http.get("/api/personas", params={"active_only": True})).json()["items"]
    assert [persona["name"] for persona in everyone] == ["Old", "Ava"]
    assert [persona["name"] for persona in active] == ["Ava"]


async def test_an_image_is_served_as_what_it_is_and_nothing_else(ada: User) -> None:
    made = await new(ada)
    url = f"/api/personas/{made['id']}/image"
    problem(await ada.http.get(url), 404, "image_not_found")
    # Neither the declared type nor the name of the file counts.
    sent = await ada.http.post(url, files={"file": ("evil.svg", PNG, "text/html")})
    assert sent.status_code == 200, sent.text
    assert sent.json()["image_url"] == url
    served = await ada.http.get(url)
    assert served.content == PNG
    assert served.headers["content-type"] == "image/png"
    assert served.headers["x-content-type-options"] == "nosniff"
    assert "private" in served.headers["cache-control"]
    cached = await ada.http.get(url, headers={"If-None-Match": served.headers["etag"]})
    assert (cached.status_code, cached.content) == (304, b"")
    await ada.http.post(url, files={"file": ("x", GIF)})
    replaced = await ada.http.get(url, headers={"If-None-Match": served.headers["etag"]})
    assert (replaced.status_code, replaced.content) == (200, GIF)
    assert (await ada.http.delete(url)).status_code == 204
    assert (await ada.http.delete(url)).status_code == 204
    problem(await ada.http.get(url), 404, "image_not_found")
    assert (await ada.http.get(f"/api/personas/{made['id']}")).json()["image_url"] is None


async def test_what_is_no_image_is_refused(ada: User) -> None:
    made = await new(ada)
    url = f"/api/personas/{made['id']}/image"
    for content in (b"<svg onload='alert(1)'/>", b"", b"<html>"):
        answer = await ada.http.post(url, files={"file": ("x.png", content, "image/png")})
        assert fields(problem(answer, 422, "validation_error")) == {"file"}
    large = await ada.http.post(url, files={"file": ("x.png", PNG + b"\x00" * MAX_IMAGE, "image/png")})
    problem(large, 413, "image_too_large")
    for sent in ({}, {"json": {}}, {"data": {"file": "text"}}, {"files": {"picture": ("x.png", PNG)}}):
        answer = await ada.http.post(url, **sent)  # type: ignore[arg-type]
        assert fields(problem(answer, 422, "validation_error")) == {"file"}
    torn = await ada.http.post(url, content=b"--b", headers={"Content-Type": "multipart/form-data"})
    problem(torn, 400, "bad_request")
    assert (await ada.http.get(f"/api/personas/{made['id']}")).json()["image_url"] is None


async def test_a_persona_travels_as_a_document(ada: User, eve: User) -> None:
    made = await new(ada, name='Ava "the\\great" Ü')
    await ada.http.post(f"/api/personas/{made['id']}/image", files={"file": ("x.png", PNG)})
    exported = await ada.http.get(f"/api/personas/{made['id']}/export")
    assert exported.headers["content-disposition"] == 'attachment; filename="Ava-the-great.persona.json"'
    document = exported.json()
    assert document["format"] == "parley.persona"
    assert document["version"] == 1
    for private in (made["id"], ada.id, "owner", "created_at"):
        assert private not in exported.text

    imported = await eve.http.post("/api/personas/import", json=document)
    assert imported.status_code == 201, imported.text
    report = imported.json()
    assert (report["dry_run"], report["conflict"], report["renamed_from"]) == (False, False, None)
    persona = report["persona"]
    same = {"name", "description", "template", "mode", "first_message", "history", "extra_data", "is_active"}
    assert {name: persona[name] for name in same} == {name: made[name] for name in same}
    assert (await eve.http.get(persona["image_url"])).content == PNG
    again = (await eve.http.get(f"/api/personas/{persona['id']}/export")).json()
    assert again == document


async def test_a_dry_run_makes_nothing_and_tells_what_would_be(ada: User) -> None:
    document = {"format": "parley.persona", "version": 1, "persona": WHOLE}
    report = await ada.http.post("/api/personas/import", params={"dry_run": True}, json=document)
    assert report.status_code == 200
    assert report.json() == {
        "dry_run": True, "name": "Ava", "renamed_from": None, "conflict": False, "has_image": False,
        "persona": None,
    }  # fmt: skip
    assert (await ada.http.get("/api/personas")).json()["items"] == []
    await new(ada)
    clash = (await ada.http.post("/api/personas/import", params={"dry_run": True}, json=document)).json()
    assert clash["conflict"] is True
    renamed = (
        await ada.http.post("/api/personas/import", params={"dry_run": True, "rename": True}, json=document)
    ).json()
    assert (renamed["name"], renamed["renamed_from"], renamed["conflict"]) == ("Ava (2)", "Ava", False)


async def test_a_taken_name_is_a_conflict_or_gets_a_number(ada: User) -> None:
    long = "x" * 255
    for name, next_name in (("Ava", "Ava (2)"), (long, "x" * 251 + " (2)")):
        await new(ada, name=name)
        document = {"persona": {**WHOLE, "name": name}}
        problem(await ada.http.post("/api/personas/import", json=document), 409, "name_taken")
        made = await ada.http.post("/api/personas/import", params={"rename": True}, json=document)
        assert made.json()["persona"]["name"] == next_name
    third = await ada.http.post("/api/personas/import", params={"rename": True}, json={"persona": WHOLE})
    assert third.json()["persona"]["name"] == "Ava (3)"


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "persona"),
        ({"persona": {}}, "persona.name"),
        ({"persona": {**WHOLE, "mode": "autonomous"}}, "persona.mode"),
        ({"persona": {**WHOLE, "id": "7"}}, "persona.id"),
        ({"persona": WHOLE, "version": 2}, "version"),
        ({"persona": WHOLE, "format": "other"}, "format"),
        ({"persona": WHOLE, "image": {"content_type": "image/svg+xml", "data": ""}}, "image.content_type"),
        ({"persona": WHOLE, "image": {"content_type": "image/png", "data": "!"}}, "image.data"),
        (
            {
                "persona": WHOLE,
                "image": {"content_type": "image/png", "data": base64.b64encode(b"<svg/>").decode()},
            },
            "image.data",
        ),
    ],
)
async def test_a_document_is_checked_whole(
    ada: User, document: dict[str, Any], field: str, dry_run: bool
) -> None:
    answer = await ada.http.post("/api/personas/import", params={"dry_run": dry_run}, json=document)
    assert field in fields(problem(answer, 422, "validation_error"))
    assert (await ada.http.get("/api/personas")).json()["items"] == []
