"""Personas: CRUD, and images that are what they say."""

from __future__ import annotations

from typing import Any

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
