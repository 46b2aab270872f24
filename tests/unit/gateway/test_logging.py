"""Every line says whose it is, and none says a secret."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator

import pydantic
import pytest
import sqlalchemy.exc

from shared.logging import ConsoleFormatter, JsonFormatter, configure_logging, describe, log_context, redact
from shared.security import keys
from shared.settings import Settings


def line(message: str, *arguments: object, extra: dict[str, object] | None = None) -> dict[str, object]:
    logger = logging.getLogger("parley.test")
    record = logger.makeRecord(
        "parley.test", logging.INFO, __file__, 1, message, arguments, None, extra=extra
    )
    document: dict[str, object] = json.loads(JsonFormatter("gateway").format(record))
    return document


def test_session_attempt_and_owner_stand_on_every_line() -> None:
    assert {"session_id": None, "attempt": None, "owner": None}.items() <= line("hello").items()
    with log_context(session_id="s", owner="o"):
        with log_context(attempt=2):
            inner = line("hello %s", "you", extra={"model": "m"})
        outer = line("again")
    assert {"session_id": "s", "attempt": 2, "owner": "o", "model": "m"}.items() <= inner.items()
    assert inner["message"] == "hello you"
    assert inner["service"] == "gateway"
    assert outer["attempt"] is None
    assert line("after")["session_id"] is None


async def test_tasks_do_not_see_the_context_of_each_other() -> None:
    ready = asyncio.Event()

    async def run(session: str) -> object:
        with log_context(session_id=session):
            ready.set() if session == "b" else await ready.wait()
            return line("x")["session_id"]

    assert await asyncio.gather(run("a"), run("b")) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        pytest.param(f"key {keys.generate().key} used", "_", id="a key of Parley"),
        ("Authorization: Bearer abcdefghijklmnop", "abcdefghijklmnop"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
        ("using sk-proj-1234567890abcdef", "1234567890abcdef"),
        ("postgresql+psycopg://parley:hunter2@db/parley", "hunter2"),
        ("redis://:hunter2@cache:6379/0", "hunter2"),
        ("{'api_key': 'hunter22'}", "hunter22"),
        ('{"password":"hunter22"}', "hunter22"),
    ],
)
def test_what_looks_like_a_secret_is_redacted_everywhere(text: str, secret: str) -> None:
    if secret == "_":
        secret = text.split()[1].split("_", 2)[2]
    assert secret in text
    assert secret not in redact(text)
    assert "redacted" in redact(text)
    assert secret not in json.dumps(line("%s", text, extra={"note": text}))
    with log_context(note=text):
        assert secret not in json.dumps(line("x"))
    try:
        raise RuntimeError(text)
    except RuntimeError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    assert secret not in JsonFormatter("g").format(record)
    assert secret not in ConsoleFormatter("g").format(record)
    assert "RuntimeError" in ConsoleFormatter("g").format(record)


def test_ordinary_text_is_left_alone() -> None:
    text = "basic settings of https://example.org/path at 12:30, password needed, sk- prefix"
    assert redact(text) == text


def test_errors_of_the_database_do_not_quote_rows() -> None:
    try:
        try:
            raise ValueError("the cause")
        except ValueError as cause:
            raise sqlalchemy.exc.IntegrityError(
                "INSERT INTO messages", {"content": "a private text"}, Exception("a private text")
            ) from cause
    except sqlalchemy.exc.IntegrityError as error:
        told = describe(error)
    assert "private" not in told
    assert "IntegrityError" in told
    assert "the cause" in told


def test_errors_of_validation_do_not_quote_input() -> None:
    class Model(pydantic.BaseModel):
        number: int

    sent = {"number": "a private text"}
    with pytest.raises(pydantic.ValidationError) as raised:
        Model.model_validate(sent)
    told = describe(raised.value)
    assert "private" not in told
    assert "number" in told


@pytest.fixture
def root_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("root_restored")
@pytest.mark.parametrize("form", ["json", "console"])
def test_configured_loggers_write_one_line_to_standard_error(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(Settings(log_format=form, log_level="INFO"), service="worker")  # type: ignore[arg-type]
    with log_context(session_id="s-1", attempt=3, owner="o-1"):
        logging.getLogger("any").info("ready")
        logging.getLogger("any").debug("not shown")
        logging.getLogger("httpx").info("GET http://inner-host")
    written = capsys.readouterr().err.splitlines()
    assert len(written) == 1
    for expected in ("ready", "s-1", "3", "o-1", "worker"):
        assert expected in written[0]
    assert (form == "json") == written[0].startswith("{")
