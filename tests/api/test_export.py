"""Exports over HTTP. What is in an archive is judged by other programs; see test_archive.py for the room itself."""

import asyncio
import io
import json
import os
import shutil
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from service.catalog import User
from service.cli.transcripts import Writer
from service.client import verify_archive
from service.config import Exports
from service.transfers.admission import ADMISSION
from tests.engines import both_engines_if_long
from tests.world import ADMIN, World, assert_problem, noise, token

pytestmark = both_engines_if_long

EXPORT = "u-1/sessions/download-all"


def members(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


async def test_every_session_of_both_layouts_byte_for_byte_sorted_by_name(service: World) -> None:
    writer = Writer(seed=1)
    files = {name: b"".join(writer.session(size)) for name, size in (("b", 700_000), ("a", 10), ("c", 300_000))}
    service.file("b.jsonl", files["b"])
    service.file("c.jsonl", files["c"])
    service.file("a.jsonl", files["a"], folder="u-1")
    service.file("b.jsonl", b"the second layout's, not taken", folder="u-1")
    (service.root / "alice" / "notes.txt").write_text("no session")
    answer = await service.get(EXPORT)
    assert answer.status == 200
    found = members(answer.body)
    assert list(found) == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert found == {f"{name}.jsonl": data for name, data in files.items()}


async def test_headers(service: World) -> None:
    service.file("a.jsonl", b"x" * 1000)
    service.file("b.jsonl", b"x" * 500)
    (service.root / "alice" / "link.jsonl").symlink_to("a.jsonl")
    answer = await service.get(EXPORT)
    expected = {
        "Content-Type": "application/zip",
        "Content-Disposition": f'attachment; filename="alice-sessions-{datetime.now(UTC):%Y-%m-%d}.zip"',
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
        "X-Export-Files": "2",
        "X-Export-Bytes": "1500",
        "Transfer-Encoding": "chunked",
    }
    assert {name: answer.headers.get(name) for name in expected} == expected
    assert "Content-Encoding" not in answer.headers


async def test_the_archives_name_cannot_break_out_of_its_header(service: World) -> None:
    await service.add_users(User("u-9", 'zoë"x@example.com', None))
    service.file("a.jsonl", folder='zoë"x')
    answer = await service.get("u-9/sessions/download-all")
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    assert answer.headers["Content-Disposition"] == (
        f"attachment; filename=\"zo__x-sessions-{day}.zip\"; filename*=UTF-8''zo%C3%AB%22x-sessions-{day}.zip"
    )


async def test_export_is_audited_before_and_after(service: World) -> None:
    service.file("a.jsonl", b"x" * 1000)
    service.file("b.jsonl", b"y" * 500)
    (service.root / "alice" / "c.jsonl").mkdir()
    answer = await service.get(EXPORT, headers={"X-Request-ID": "req-8"})
    started, ended = await service.audit("session_bulk%")
    assert started["action"] == "session_bulk_download_started"
    archive = answer.headers["ETag"].strip('"')
    announced = {"username": "alice", "archive": archive, "file_count": 2, "total_bytes": 1500}
    assert json.loads(started["params"]) == announced
    assert (ended["action"], ended["result"]) == ("session_bulk_download", "success")
    assert json.loads(ended["params"]) == {
        "username": "alice",
        "archive": archive,
        "file_count": 2,
        "total_bytes": 1500,
        "bytes_sent": len(answer.body),
        "skipped": 1,
    }
    assert started["duration_ms"] is None
    assert ended["duration_ms"] >= 0
    for row in (started, ended):
        assert (row["resource"], row["user_id"]) == ("users/u-1/sessions", "admin1")
        assert row["correlation_id"] == "req-8"


async def test_what_is_skipped_is_told_in_the_last_member(service: World) -> None:
    folder = service.file("real.jsonl", b"real").parent
    (folder / "directory.jsonl").mkdir()
    (folder / "link.jsonl").symlink_to("/etc/passwd")
    os.mkfifo(folder / "fifo.jsonl")
    (folder / "with space.jsonl").write_bytes(b"x")
    (folder / os.fsdecode(b"bad\xff.jsonl")).write_bytes(b"x")
    found = members((await service.get(EXPORT)).body)
    assert list(found) == ["real.jsonl", "_skipped.json"]
    assert {row["name"]: row["reason"] for row in json.loads(found["_skipped.json"])} == {
        "directory.jsonl": "Not a regular file.",
        "fifo.jsonl": "Not a regular file.",
        "link.jsonl": "Not a regular file.",
        "with space.jsonl": "The name is not that of a session file.",
        "bad\\xff.jsonl": "The name is not that of a session file.",
    }


async def test_a_directory_without_sessions_is_an_empty_zip_and_no_directory_a_404(service: World) -> None:
    assert_problem(await service.get(EXPORT), 404, "The user has no sessions directory.")
    assert (await service.get(EXPORT, "HEAD")).status == 404
    (service.root / "u-1").mkdir()
    answer = await service.get(EXPORT)
    assert (answer.status, members(answer.body)) == (200, {})
    assert_problem(await service.get("nobody/sessions/download-all"), 404, "User not found")


async def test_head_has_the_headers_reads_nothing_and_is_not_audited(service: World) -> None:
    service.file("a.jsonl")
    answer = await service.get(EXPORT, "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="alice-sessions-')
    assert await service.audit() == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_http_1_0_is_refused(service: World, method: str) -> None:
    service.file("a.jsonl")
    reader, writer = await asyncio.open_connection("127.0.0.1", service.running.port)
    writer.write(f"{method} /api/admin/users/{EXPORT} HTTP/1.0\r\nAuthorization: Bearer {ADMIN}\r\n\r\n".encode())
    received = await reader.read()
    writer.close()
    assert received.startswith(b"HTTP/1.0 505 ")
    assert (b"proxy_http_version 1.1" in received) == (method == "GET")
    assert await service.audit() == []


async def test_two_exports_of_the_same_files_are_the_same_bytes(service: World) -> None:
    service.file("a.jsonl", b"".join(Writer(seed=2).session(900_000)))
    (service.root / "alice" / "x.jsonl").mkdir()
    assert (await service.get(EXPORT)).body == (await service.get(EXPORT)).body


async def test_a_file_that_grows_meanwhile_is_sent_as_it_was_listed(service: World) -> None:
    """The client holds the export up in the first file, so that this one is open and the next one is not yet."""
    big = noise(40_000_000)
    first, second = service.file("a.jsonl", big), service.file("b.jsonl", b"before")
    async with service.request(EXPORT) as response:
        begin = await response.content.readexactly(100_000)
        for file in (first, second):
            with file.open("ab") as more:
                more.write(b"+later")
        found = members(begin + await response.read())
    assert found == {"a.jsonl": big, "b.jsonl": b"before"}


async def test_a_file_that_vanishes_after_the_listing_is_skipped_and_told(service: World) -> None:
    service.file("a.jsonl", noise(40_000_000))
    gone = service.file("b.jsonl")
    async with service.request(EXPORT) as response:
        begin = await response.content.readexactly(100_000)
        gone.unlink()
        found = members(begin + await response.read())
    assert list(found) == ["a.jsonl", "_skipped.json"]
    assert json.loads(found["_skipped.json"]) == [{"name": "b.jsonl", "reason": "No such session file."}]
    _, ended = await service.audit("session_bulk%")
    assert json.loads(ended["params"])["skipped"] == 1


async def test_a_file_that_is_cut_short_breaks_the_export_off(service: World) -> None:
    file = service.file("a.jsonl", noise(40_000_000))
    async with service.request(EXPORT) as response:
        await response.content.readexactly(100_000)
        os.truncate(file, 1000)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    _, ended = await service.audit("session_bulk%")
    assert ended["result"] == "error"


async def test_a_file_that_fails_before_the_first_byte_gets_a_clear_answer(
    service: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the disk, injected where the bytes are read."""
    service.file("a.jsonl", b"x" * 100)

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("service.store.local.os.pread", fail)
    assert_problem(await service.get(EXPORT), 500, "The file cannot be read.")
    assert [row["result"] for row in await service.audit("session_bulk%")] == ["started", "error"]


async def test_64_exports_at_once_all_end_well_and_others_are_served_meanwhile(world: World) -> None:
    world.exports = Exports(max_concurrent=4, queue_timeout=0.5)
    service = await world.start()
    data = {f"{n}.jsonl": b"".join(Writer(seed=n).session(200_000)) for n in range(3)}
    for name, content in data.items():
        service.file(name, content)
    exports = [asyncio.create_task(service.get(EXPORT)) for _ in range(64)]
    while not all(export.done() for export in exports):
        assert (await service.get("/healthz", token=None)).status == 200
        assert (await service.get("u-1/sessions")).json["pagination"]["total"] == 3
    answers = [await export for export in exports]
    refused = [answer for answer in answers if answer.status == 503]
    for answer in refused:
        assert_problem(answer, 503)
        assert int(answer.headers["Retry-After"]) >= 1
    assert len(refused) < 64
    for answer in answers:
        assert answer in refused or members(answer.body) == data


async def test_one_caller_cannot_keep_all_places_while_others_wait(world: World) -> None:
    world.exports = Exports(max_concurrent=2, queue_timeout=30)
    world.tokens += (token("other", "admin2", admin=True),)
    service = await world.start()
    service.file("a.jsonl", noise(40_000_000))
    held = [await service.request(EXPORT) for _ in range(2)]  # both places, by clients that do not read on
    waiting = [asyncio.create_task(service.get(EXPORT)) for _ in range(3)]
    while service.app[ADMISSION].waiting < 3:
        await asyncio.sleep(0)
    other = asyncio.create_task(service.get(EXPORT, token="other"))
    while service.app[ADMISSION].waiting < 4:
        await asyncio.sleep(0)
    held[0].close()
    done, _ = await asyncio.wait([*waiting, other], return_when=asyncio.FIRST_COMPLETED)
    assert done == {other}
    held[1].close()
    await asyncio.gather(*waiting)


JUDGES = {
    "unzip": ["unzip", "-tq"],
    "7z": ["7z", "t", "-bd"],
    "bsdtar": ["bsdtar", "-tf"],
    "python": ["python3", "-m", "zipfile", "-t"],
}


@pytest.mark.parametrize("kind", ["empty", "one", "many", "skipped", "odd times", "incompressible"])
async def test_other_programs_accept_the_archive(service: World, tmp_path: Path, kind: str) -> None:
    (service.root / "alice").mkdir()
    if kind != "empty":
        service.file("-rf.jsonl", b"".join(Writer(seed=3).session(600_000)))
    if kind == "many":
        for number in range(300):
            service.file(f"{number}.jsonl", b"%d\n" % number)
        service.file("a" * 249 + ".jsonl", b"the longest name")
        service.file("empty.jsonl", b"")
    if kind == "skipped":
        (service.root / "alice" / "é\n😀.jsonl").write_bytes(b"x")
    if kind == "odd times":
        for mtime in (0, -1, 2_208_988_800, 7_258_118_400):
            service.file(f"t{mtime}.jsonl", mtime=mtime)
    if kind == "incompressible":
        service.file("random.jsonl", os.urandom(1_000_000))
    archive = tmp_path / "export.zip"
    archive.write_bytes((await service.get(EXPORT)).body)
    for judge, command in JUDGES.items():
        if shutil.which(command[0]):
            done = subprocess.run([*command, archive], capture_output=True, text=True, check=False)
            # unzip says 1, with a warning, of an archive that has no members
            good = (0, 1) if (judge, kind) == ("unzip", "empty") else (0,)
            assert done.returncode in good, done.stdout + done.stderr


async def test_members_have_the_files_time_and_mode_0600(service: World) -> None:
    service.file("a.jsonl", mtime=1_760_000_000)
    service.file("old.jsonl", mtime=0)
    service.file("late.jsonl", mtime=7_258_118_400)
    archive = zipfile.ZipFile(io.BytesIO((await service.get(EXPORT)).body))
    infos = {info.filename: info for info in archive.infolist()}
    assert infos["a.jsonl"].date_time == (2025, 10, 9, 8, 53, 20)
    assert infos["old.jsonl"].date_time == (1980, 1, 1, 0, 0, 0)
    assert infos["late.jsonl"].date_time == (2038, 1, 19, 3, 14, 6)  # ZIP counts in steps of two seconds
    for info in infos.values():
        assert (info.external_attr >> 16) & 0o7777 == 0o600
        assert info.compress_type == zipfile.ZIP_DEFLATED


async def test_the_request_may_say_how_the_archive_is_compressed(service: World) -> None:
    text = b"".join(Writer(seed=4).session(300_000))
    service.file("a.jsonl", text)
    sizes = {}
    for compression in ("fast", "small", "store"):
        answer = await service.get(f"{EXPORT}?compression={compression}")
        assert members(answer.body) == {"a.jsonl": text}
        sizes[compression] = len(answer.body)
    assert sizes["small"] < sizes["fast"] < sizes["store"]
    assert (await service.get(EXPORT)).body == (await service.get(f"{EXPORT}?compression=fast")).body


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("value", ["", "best", "FAST", "fast%0a"])
async def test_another_compression_is_422(service: World, method: str, value: str) -> None:
    service.file("a.jsonl")
    answer = await service.get(f"{EXPORT}?compression={value}", method)
    assert answer.status == 422
    if method == "GET":
        assert answer.json["errors"][0]["loc"] == ["query", "compression"]
    assert await service.audit() == []


async def test_a_manifest_proves_what_the_archive_holds(service: World, tmp_path: Path) -> None:
    for number in range(3):
        service.file(f"{number}.jsonl", b"".join(Writer(seed=number).session(50_000)), mtime=1_760_000_000)
    (service.root / "alice" / "link.jsonl").symlink_to("0.jsonl")
    first = await service.get(f"{EXPORT}?manifest=true")
    assert "Content-Length" not in first.headers
    found = members(first.body)
    assert list(found) == ["_manifest.json", "0.jsonl", "1.jsonl", "2.jsonl", "_members.jsonl", "_result.json"]
    assert json.loads(found["_manifest.json"])["users"][0]["user_id"] == "u-1"
    assert json.loads(found["_result.json"])["skipped"] == [{"name": "link.jsonl", "reason": "Not a regular file."}]
    assert b"still_written" not in found["_members.jsonl"]
    (tmp_path / "export.zip").write_bytes(first.body)
    assert (await verify_archive(tmp_path / "export.zip")).damage is None
    again = await service.get(f"{EXPORT}?manifest=true")
    assert (again.body, again.headers["Content-Length"]) == (first.body, str(len(first.body)))
    plain = await service.get(EXPORT)
    assert plain.headers["ETag"] != first.headers["ETag"]
    snapshot = plain.headers["ETag"].strip('"')
    assert (await service.get(f"{EXPORT}?manifest=true&snapshot={snapshot}")).status == 412


async def test_a_file_that_somebody_writes_to_is_named_in_the_manifest(service: World) -> None:
    service.file("now.jsonl")
    service.file("before.jsonl", mtime=1_760_000_000)
    found = members((await service.get(f"{EXPORT}?manifest=true")).body)
    lines = [json.loads(line) for line in found["_members.jsonl"].splitlines()]
    assert {line["name"]: line.get("still_written") for line in lines} == {"before.jsonl": None, "now.jsonl": True}


async def test_a_selection_is_exported_alone_and_said_everywhere(service: World) -> None:
    for number in range(3):
        service.file(f"{number}.jsonl", mtime=1_760_000_000)
    url = f"{EXPORT}?session_file=2.jsonl&session_file=0.jsonl&session_file=gone.jsonl"
    answer = await service.get(f"{url}&manifest=true")
    found = members(answer.body)
    assert list(found) == ["_manifest.json", "0.jsonl", "2.jsonl", "_members.jsonl", "_result.json"]
    selection = {"session_file": ["0.jsonl", "2.jsonl", "gone.jsonl"]}
    assert json.loads(found["_manifest.json"])["selection"] == selection
    assert "alice-sessions-selected-" in answer.headers["Content-Disposition"]
    for row in await service.audit("session_bulk%"):
        assert json.loads(row["params"])["selection"] == selection
    plain = await service.get(url)
    assert list(members(plain.body)) == ["0.jsonl", "2.jsonl"]


async def test_a_selection_by_time_that_finds_nothing_is_an_archive_that_says_so(service: World) -> None:
    service.file("a.jsonl", mtime=1_760_000_000)
    answer = await service.get(f"{EXPORT}?until=2001-01-01&manifest=true")
    found = members(answer.body)
    assert list(found) == ["_manifest.json", "_members.jsonl", "_result.json"]
    assert json.loads(found["_manifest.json"])["selection"] == {"until": "2001-01-01T00:00:00+00:00"}
    assert members((await service.get(f"{EXPORT}?until=2001-01-01")).body) == {}
