import asyncio
import logging

import pytest

from service.server.logs import TextFormatter
from tests.world import World, assert_problem


async def test_an_unknown_path_is_a_404_problem(service: World) -> None:
    answer = await service.get("/nothing")
    assert_problem(answer, 404)
    assert answer.json == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "No such resource.",
        "instance": "/nothing",
    }


async def test_a_wrong_method_is_a_405_that_names_the_right_ones(service: World) -> None:
    answer = await service.get("u-1/sessions", "DELETE")
    assert_problem(answer, 405)
    assert answer.headers["Allow"] == "GET,HEAD"


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 128])
async def test_the_callers_request_id_is_kept(service: World, given: str) -> None:
    for path in ("u-1/sessions", "/healthz", "/nothing", "u-1/sessions?limit=0"):
        assert (await service.get(path, headers={"X-Request-ID": given})).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "ä", 'a"b', "a\tb"])
async def test_another_request_id_is_replaced(service: World, given: str) -> None:
    first = (await service.get("/healthz", headers={"X-Request-ID": given})).headers["X-Request-ID"]
    second = (await service.get("/healthz", headers={"X-Request-ID": given})).headers["X-Request-ID"]
    assert given not in (first, second)
    assert len({first, second}) == 2


async def test_what_is_unexpected_is_a_500_without_its_cause_which_the_log_has(
    service: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr("service.sessions.folders.user_directories", fail)
    answer = await service.get("u-1/sessions", headers={"X-Request-ID": "find-me"})
    assert_problem(answer, 500)
    assert b"secret" not in answer.body
    assert "unexpected error" in caplog.text
    assert "a secret of the inside" in caplog.text


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTX\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n",
     b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n"],
)  # fmt: skip
async def test_what_is_not_http_gets_the_same_shape_of_error(
    service: World, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.running.port)
    writer.write(sent)
    received = await reader.read()
    writer.close()
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == b"400"
    assert b"Content-Type: application/problem+json" in head
    assert b"X-Request-ID: " in head
    assert body.startswith(b'{"type": "about:blank", "title": "Bad Request", "status": 400')
    assert "invalid request from 127.0.0.1" in caplog.text


def test_a_log_line_cannot_be_broken_or_forged() -> None:
    record = logging.LogRecord("n", logging.INFO, "", 0, "%s", ("a\r\nFORGED\x1b[31m",), None)
    line = TextFormatter().format(record)
    assert line.endswith("a\\r\\nFORGED\\x1b[31m")
    assert line.isprintable()
