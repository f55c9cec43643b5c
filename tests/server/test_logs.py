"""What an operator reads at night: the lines of a real service, as text and as JSON."""

import asyncio
import contextlib
import io
import json
import logging
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.config import Exports, LogFormat, LogLevel
from service.server.logs import set_up_logging
from service.transfers.admission import ADMISSION
from service.transfers.transfer import PROGRESS_INTERVAL, TRANSFERS
from tests.world import ADMIN, PLAIN, World, noise

EXPORT = "u-1/sessions/download-all"


class Log:
    """Standard error's place."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        """All but which ways to authenticate are on, which each start says."""
        lines = self._stream.getvalue().splitlines(keepends=True)
        return "".join(line for line in lines if "service.auth.authentication" not in line)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def of(self, logger: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["logger"] == f"service.{logger}"]


@pytest.fixture
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """The service's own logging, in a form and at a level that the test may give as a parameter."""
    form, level = getattr(request, "param", (LogFormat.JSON, LogLevel.INFO))
    root, stream = logging.getLogger(), io.StringIO()
    before = (root.handlers[:], root.level)
    monkeypatch.setattr("sys.stderr", stream)
    root.handlers.clear()
    set_up_logging(form, level)
    yield Log(stream)
    root.handlers[:], root.level = before
    logging.getLogger("asyncio").setLevel(logging.NOTSET)


as_text = pytest.mark.parametrize("written", [(LogFormat.TEXT, LogLevel.INFO)], indirect=True)
at_debug = pytest.mark.parametrize("written", [(LogFormat.JSON, LogLevel.DEBUG)], indirect=True)
at_warning = pytest.mark.parametrize("written", [(LogFormat.JSON, LogLevel.WARNING)], indirect=True)


async def test_a_request_is_one_line_with_all_that_is_known_of_it(written: Log, service: World) -> None:
    service.file("a.jsonl", b"x" * 100)
    answer = await service.get("u-1/sessions/a.jsonl/download?x=secret", headers={"X-Request-ID": "r1"})
    (line,) = [line for line in written.lines if line.get("request_id") == "r1"]
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line.pop("duration_ms") > 0
    assert line.pop("message").endswith("ms success")
    assert line == {
        "level": "info",
        "logger": "service.http.access",
        "request_id": "r1",
        "client": "127.0.0.1",
        "scheme": None,
        "actor": "admin1",
        "token": "admin1",
        "method": "GET",
        "path": "/api/admin/users/u-1/sessions/a.jsonl/download",
        "route": "/api/admin/users/{user_id}/sessions/{session_file}/download",
        "status": 200,
        "bytes": len(answer.body),
        "outcome": "success",
    }


@as_text
async def test_as_text_a_request_is_a_line_that_a_person_reads(written: Log, service: World) -> None:
    service.file("a.jsonl", b"x" * 100)
    await service.get("u-1/sessions/a.jsonl/download", headers={"X-Request-ID": "r1"})
    (line,) = written.text.splitlines()
    assert line[10] == "T"
    assert (
        " INFO service.http.access: [r1] 127.0.0.1 'admin1' (admin1) GET "
        "/api/admin/users/u-1/sessions/a.jsonl/download 200 100B "
    ) in line
    assert line.endswith("ms success")


@pytest.mark.parametrize(
    ("path", "token", "expected"),
    [
        ("u-1/sessions", ADMIN, (200, "admin1")),
        ("nobody/sessions", ADMIN, (404, "admin1")),
        ("u-1/sessions?limit=0", ADMIN, (422, "admin1")),
        ("u-1/sessions", PLAIN, (403, None)),
        ("u-1/sessions", "a-wrong-token", (401, None)),
        ("/nothing", None, (401, None)),
        ("/nothing", ADMIN, (404, "admin1")),
    ],
)
async def test_every_answer_has_its_line_and_the_bytes_of_its_body(
    written: Log, service: World, path: str, token: str | None, expected: tuple[int, str | None]
) -> None:
    answer = await service.get(path, token=token)
    (line,) = written.of("http.access")
    assert (line["status"], line["actor"]) == expected
    assert line["bytes"] == len(answer.body)
    assert line["request_id"] == answer.headers["X-Request-ID"]


async def test_head_sends_no_bytes(written: Log, service: World) -> None:
    await service.get("nobody/sessions", "HEAD")
    (line,) = written.of("http.access")
    assert (line["method"], line["status"], line["bytes"]) == ("HEAD", 404, 0)


async def test_health_that_is_good_is_no_event_and_bad_health_is_one(written: Log, service: World) -> None:
    await service.get("/healthz")
    await service.get("/readyz")
    assert written.text == ""
    service.root.rmdir()
    await service.get("/readyz")
    (line,) = written.of("http.access")
    assert (line["route"], line["status"]) == ("/readyz", 503)


@at_debug
async def test_at_debug_health_is_there_too(written: Log, service: World) -> None:
    await service.get("/healthz")
    (line,) = written.of("http.access")
    assert (line["level"], line["route"]) == ("debug", "/healthz")


@at_warning
async def test_at_warning_only_what_went_wrong_is_there(written: Log, service: World) -> None:
    await service.get("u-1/sessions")
    await service.get("u-1/sessions", token=None)
    assert [line["level"] for line in written.lines] == ["warning"]


async def test_no_secret_is_ever_in_the_log(written: Log, service: World) -> None:
    service.file("a.jsonl", b"what the session says")
    for token in (ADMIN, PLAIN, "a-wrong-token"):
        for path in ("u-1/sessions", "u-1/sessions/a.jsonl/download", "u-1/sessions/..%2fx/download"):
            await service.get(f"{path}?token={token}", token=token, headers={"Cookie": f"a={token}"})
    assert written.lines
    for secret in (ADMIN, PLAIN, "a-wrong-token", "what the session says"):
        assert secret not in written.text


async def test_a_client_that_left_has_its_line_too(written: Log, service: World) -> None:
    service.file("a.jsonl", noise(40_000_000))
    async with service.request(EXPORT) as response:
        await response.content.readexactly(1000)
        response.close()
    while not written.text:
        await asyncio.sleep(0.01)
    (line,) = written.lines
    assert (line["status"], line["outcome"]) == (200, "aborted")
    assert 1000 < line["bytes"] < 40_000_000


async def test_a_client_that_left_while_it_waited_has_its_line_too(written: Log, world: World) -> None:
    world.exports = Exports(max_concurrent=1)
    service = await world.start()
    service.file("a.jsonl", noise(40_000_000))
    async with service.request(EXPORT) as response:
        await response.content.readexactly(1000)
        waiting = asyncio.create_task(service.get(EXPORT, headers={"X-Request-ID": "r1"}))
        while not service.app[ADMISSION].waiting:
            await asyncio.sleep(0.01)
        waiting.cancel()
        while not written.text:
            await asyncio.sleep(0.01)
    (line,) = [line for line in written.lines if line["request_id"] == "r1"]
    assert (line["status"], line["bytes"], line["outcome"]) == (499, 0, None)


async def test_where_handlers_are_not_cancelled_a_client_that_left_early_has_its_line_too(
    written: Log, world: World
) -> None:
    """It has asked for an export, waited for its place, and left before there was one."""
    world.exports = Exports(max_concurrent=1)
    service = await world.start(cancelling=False)
    service.file("a.jsonl", noise(40_000_000))
    async with service.request(EXPORT, headers={"X-Request-ID": "r0"}) as response:
        await response.content.readexactly(1000)
        waiting = asyncio.create_task(service.get(EXPORT, headers={"X-Request-ID": "r1"}))
        while not service.app[ADMISSION].waiting:
            await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        response.close()
    while len(written.lines) < 2:
        await asyncio.sleep(0.01)
    told = {line["request_id"]: (line["status"], line["outcome"]) for line in written.lines}
    assert told == {"r0": (200, "aborted"), "r1": (499, None)}


@pytest.mark.parametrize(("what", "least", "more"), [("broken", 7_300, 1_000), ("flood", 24 * 1024**2, 20_000)])
async def test_a_stream_that_is_no_transfer_has_its_status_and_its_bytes(
    written: Log, service: World, what: str, least: int, more: int
) -> None:
    """The bytes are those of the connection: a head and the chunks' own come to the body's."""
    async with service.request(f"/api/admin/doctor/{what}") as response:
        with contextlib.suppress(aiohttp.ClientPayloadError):
            await response.read()
    while not written.of("http.access"):
        await asyncio.sleep(0.01)
    (line,) = written.of("http.access")
    assert (line["status"], line["outcome"]) == (200, None)
    assert least <= line["bytes"] < least + more


async def test_what_is_refused_before_it_is_looked_at_has_its_line_too(written: Log, service: World) -> None:
    answer = await service.get("/nothing", headers={"X": "x" * 9000})
    assert answer.status == 400
    (line,) = written.lines
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert line["message"] == "invalid request from 127.0.0.1: LineTooLong"


@pytest.mark.parametrize("path", [EXPORT, "u-1/sessions/a.jsonl/download"])
async def test_a_broken_file_is_told_with_who_what_and_why(written: Log, service: World, path: str) -> None:
    file = service.file("a.jsonl", noise(40_000_000))
    async with service.request(path, headers={"X-Request-ID": "r1"}) as response:
        await response.content.readexactly(1000)
        os.truncate(file, 1000)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    await service.audit()
    (broken,) = [line for line in written.lines if line["level"] == "error"]
    assert broken["request_id"] == "r1"
    assert "users/u-1/sessions" in broken["message"]
    assert "to 'admin1' (admin1) from 127.0.0.1 is broken off after " in broken["message"]
    assert broken["message"].endswith("a.jsonl: The file was cut short while it was read.")
    (line,) = written.of("http.access")
    assert line["outcome"] == "error"


async def test_a_link_that_is_refused_is_told_with_who_what_and_why(
    written: Log, service: World, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").write_text("x")
    service.file("a.jsonl")
    (service.root / "alice" / "link.jsonl").symlink_to(tmp_path / "elsewhere")
    await service.get("u-1/sessions/link.jsonl/download")
    await service.get(EXPORT)
    refused, left_out = [line["message"] for line in written.lines if line["level"] == "warning"]
    assert refused == (
        "'admin1' (admin1) from 127.0.0.1 asked for /api/admin/users/u-1/sessions/link.jsonl/download and gets 400: "
        "Not a regular file."
    )
    assert left_out == (
        "users/u-1/sessions to 'admin1' (admin1) from 127.0.0.1: skipped 'link.jsonl': Not a regular file."
    )


async def test_of_many_files_that_are_left_out_some_are_told_and_the_rest_counted(written: Log, service: World) -> None:
    (service.root / "alice").mkdir()
    for number in range(23):
        (service.root / "alice" / f"{number}.jsonl").symlink_to("nowhere")
    await service.get(EXPORT)
    told = [line["message"] for line in written.lines if line["level"] == "warning"]
    assert len(told) == 21
    assert told[-1].endswith("skipped 3 more")


async def test_a_stalled_client_is_told_with_who_what_and_why(written: Log, world: World) -> None:
    world.exports = Exports(stall_timeout=0.2)
    service = await world.start()
    service.file("a.jsonl", noise(40_000_000))
    with socket.create_connection(("127.0.0.1", service.running.port or 0)) as raw:
        raw.setblocking(False)
        request = f"GET /api/admin/users/{EXPORT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN}\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(raw, request.encode())
        await asyncio.get_running_loop().sock_recv(raw, 1000)
        await service.audit()
    (stalled,) = [line for line in written.lines if line["level"] == "warning"]
    assert stalled["message"].startswith(
        "users/u-1/sessions to 'admin1' (admin1) from 127.0.0.1, which took no byte for 0.2 s and is cut off after "
    )
    assert stalled["request_id"]


async def test_a_long_export_says_how_far_it_is_once_a_minute(
    written: Log, service: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.file("a.jsonl", noise(40_000_000))
    service.file("b.jsonl", os.urandom(2_000_000))
    transfers = service.app[TRANSFERS]
    async with service.request(EXPORT, headers={"X-Request-ID": "r1"}) as response:
        await response.content.readexactly(1000)
        began = asyncio.get_running_loop().time()
        for later in (PROGRESS_INTERVAL / 2, PROGRESS_INTERVAL + 1, PROGRESS_INTERVAL + 2, 2 * PROGRESS_INTERVAL + 2):
            monkeypatch.setattr("service.transfers.transfer.time.monotonic", lambda now=began + later: now)
            transfers.log_progress()
        monkeypatch.undo()
        response.close()
    first, second = [line for line in written.of("transfers.transfer") if line["request_id"] == "r1"]
    assert first["message"].startswith("users/u-1/sessions to 'admin1' (admin1) from 127.0.0.1: ")
    assert " of 42000000 bytes and 0 of 2 files read, " in first["message"]
    assert first["message"].endswith("MB/s after 61 s")
    assert second["message"].endswith("MB/s after 122 s")


async def test_what_a_part_that_knows_no_request_says_has_the_requests_id(written: Log, world: World) -> None:
    """The store's layouts: a user whose e-mail would lead out of the root."""
    from service.catalog import User

    service = await world.start()
    await service.add_users(User("u-2", "..@example.com", None))
    await service.get("u-2/sessions", headers={"X-Request-ID": "r1"})
    (line,) = written.of("store.layout")
    assert line["request_id"] == "r1"


async def test_what_is_unexpected_has_its_traceback_under_the_requests_id(
    written: Log, service: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr("service.sessions.folders.user_directories", fail)
    await service.get("u-1/sessions", headers={"X-Request-ID": "find-me"})
    (line,) = [line for line in written.lines if line["level"] == "error"]
    assert line["request_id"] == "find-me"
    assert line["error"].endswith("RuntimeError: a secret of the inside")


@pytest.mark.parametrize("written", [(LogFormat.TEXT, LogLevel.INFO), (LogFormat.JSON, LogLevel.INFO)], indirect=True)
def test_nothing_from_outside_can_break_or_forge_a_line(written: Log) -> None:
    forged = "a\r\n2026-01-01T00:00:00.000Z ERROR service: FORGED\x1b[31m\u2028"
    logging.getLogger("service.x").info("%s", forged)
    (line,) = written.text.split("\n")[:-1]
    assert line.isprintable()


@as_text
def test_nothing_in_a_traceback_can_forge_a_line(written: Log) -> None:
    try:
        raise RuntimeError("a\n2026-01-01T00:00:00.000Z ERROR service: FORGED\x1b[31m")
    except RuntimeError:
        logging.getLogger("service.x").exception("failed")
    first, *traceback = written.text.splitlines()
    assert first.endswith("ERROR service.x: failed")
    assert traceback
    assert all(line.startswith("    ") and line.isprintable() for line in traceback)
