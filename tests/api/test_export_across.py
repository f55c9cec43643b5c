"""Exports of the sessions of many users, over HTTP."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.api.parts import ARCHIVES
from service.catalog import User
from service.client import verify_archive
from service.config import Exports
from tests.world import NOISE, World, assert_problem

EXPORT = "/api/admin/sessions/download-all"
OLD = 1_760_000_000


def members(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


@pytest.fixture
async def users(service: World) -> list[User]:
    """Alice and three more, one of them without sessions; their ids differ by case and in a dot."""
    some = [
        User("bob", "bob@example.com", None),
        User("Bob", "robert@example.com", None),
        User("bob.", "b@x.org", None),
    ]
    await service.add_users(*some)
    service.file("a.jsonl", b"alice's\n", mtime=OLD)
    service.file("b.jsonl", NOISE, mtime=OLD)
    service.file("a.jsonl", b"bob's\n", folder="bob", mtime=OLD)
    service.file("z.jsonl", b"Robert's\n", folder="robert", mtime=OLD)
    service.file("nobody's.jsonl", folder="carol", mtime=OLD)
    service.file("1.jsonl", folder="carol", mtime=OLD)
    return some


@pytest.mark.usefixtures("users")
async def test_every_user_has_a_folder_and_the_manifest_says_whose(service: World, tmp_path: Path) -> None:
    answer = await service.get(EXPORT)
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="sessions-')
    found = members(answer.body)
    manifest = json.loads(found["_manifest.json"])
    folders = {row["user_id"]: row["folder"] for row in manifest["users"]}
    assert (folders["u-1"], folders["bob"]) == ("u-1", "bob")
    assert folders["Bob"].startswith("bob~")
    assert found["u-1/a.jsonl"] == b"alice's\n"
    assert found["bob/a.jsonl"] == b"bob's\n"
    assert found[f"{folders['Bob']}/z.jsonl"] == b"Robert's\n"
    names = list(found)
    assert (names[0], names[-2:]) == ("_manifest.json", ["_members.jsonl", "_result.json"])
    assert names[1:-2] == sorted(names[1:-2])
    assert manifest["unassigned"] == [{"directory": "carol", "sessions": 1}]
    assert (manifest["files"], answer.headers["X-Export-Files"]) == (4, "4")
    (tmp_path / "export.zip").write_bytes(answer.body)
    assert (await verify_archive(tmp_path / "export.zip")).damage is None


@pytest.mark.usefixtures("users")
async def test_whoever_asks_about_a_user_finds_the_export(service: World) -> None:
    answer = await service.get(f"{EXPORT}?since=2020-01-01", headers={"X-Request-ID": "req-9"})
    (started,) = await service.audit("session_bulk_download_started")
    assert started["resource"] == "sessions"
    selection = {"since": "2020-01-01T00:00:00+00:00"}
    tag = answer.headers["ETag"].strip('"')
    params = json.loads(started["params"])
    assert sorted(params.pop("users")) == ["Bob", "bob", "u-1"]
    assert params == {"selection": selection, "archive": tag, "file_count": 4, "total_bytes": len(NOISE) + 23}
    ended = await service.audit("session_bulk_download")
    assert {row["resource"] for row in ended} == {"users/u-1/sessions", "users/bob/sessions", "users/Bob/sessions"}
    assert {(row["result"], row["correlation_id"]) for row in ended} == {("success", "req-9")}
    (alice,) = [json.loads(row["params"]) for row in ended if row["resource"] == "users/u-1/sessions"]
    assert alice == {
        "username": "alice",
        "selection": selection,
        "archive": tag,
        "file_count": 2,
        "total_bytes": len(NOISE) + 8,
        "skipped": 0,
        "bytes_sent": len(answer.body),
    }


@pytest.mark.usefixtures("users")
async def test_a_selection_of_users_is_exported_alone(service: World) -> None:
    answer = await service.get(f"{EXPORT}?user_id=bob&user_id=nobody")
    found = members(answer.body)
    assert list(found) == ["_manifest.json", "bob/a.jsonl", "_members.jsonl", "_result.json"]
    assert "sessions-selected-" in answer.headers["Content-Disposition"]
    assert json.loads(found["_manifest.json"])["selection"] == {"user_id": ["bob", "nobody"]}
    assert json.loads(found["_manifest.json"])["unassigned"] == []


async def test_a_selection_that_finds_nothing_is_an_archive_that_says_so(service: World) -> None:
    found = members((await service.get(EXPORT)).body)
    assert list(found) == ["_manifest.json", "_members.jsonl", "_result.json"]
    assert json.loads(found["_manifest.json"])["users"] == []
    started, ended = await service.audit("session_bulk%")
    assert (started["resource"], ended["resource"], ended["result"]) == ("sessions", "sessions", "success")


async def test_more_files_than_allowed_are_counted_and_refused(world: World) -> None:
    world.exports = Exports(max_files=3)
    service = await world.start()
    await service.add_users(User("bob", "bob@example.com", None))
    for number in range(4):
        service.file(f"{number}.jsonl", folder="bob")
    service.file("a.jsonl")
    for path, count in ((EXPORT, 5), ("bob/sessions/download-all", 4)):
        answer = await service.get(path)
        assert_problem(answer, 422)
        assert answer.json["detail"].startswith(f"{count} sessions are selected, more than the 3 ")
        assert answer.json["errors"][0]["loc"] == ["query"]
    assert members((await service.get(f"{EXPORT}?user_id=u-1")).body)["u-1/a.jsonl"] == b"{}\n"
    assert await service.audit("session_bulk%_started") != []


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize("known", ["here", "in the catalog", "nowhere"])
async def test_it_is_resumed_from_anywhere(service: World, known: str) -> None:
    whole = await service.get(EXPORT)
    tag, size = whole.headers["ETag"].strip('"'), len(whole.body)
    if known != "here":
        await service.app[ARCHIVES].close()
        service.app[ARCHIVES].remembered.__init__()  # type: ignore[misc]
    if known == "nowhere":
        await service.sql("DELETE FROM export_figures")
    for start in (0, 10, size // 2, size - 300):
        answer = await service.get(f"{EXPORT}?snapshot={tag}", headers={"Range": f"bytes={start}-"})
        assert (answer.status, answer.body) == (206, whole.body[start:])
    last = json.loads((await service.audit("session_bulk_download"))[-1]["params"])
    assert last["range"] == f"bytes {size - 300}-{size - 1}/{size}"


@pytest.mark.usefixtures("users")
async def test_what_is_skipped_or_cut_off_is_counted_for_its_user(service: World) -> None:
    (service.root / "bob" / "link.jsonl").symlink_to("a.jsonl")
    found = members((await service.get(EXPORT)).body)
    assert json.loads(found["_result.json"])["skipped"] == [{"name": "bob/link.jsonl", "reason": "Not a regular file."}]
    rows = {row["resource"]: json.loads(row["params"]) for row in await service.audit("session_bulk_download")}
    assert {resource: row["skipped"] for resource, row in rows.items()} == {
        "users/bob/sessions": 1,
        "users/Bob/sessions": 0,
        "users/u-1/sessions": 0,
    }


async def test_a_broken_export_names_the_users_of_whom_something_was_sent(service: World) -> None:
    await service.add_users(User("a-first", "a@x.org", None), User("z-last", "z@x.org", None))
    service.file("a.jsonl", NOISE, folder="a-first")
    big = service.file("b.jsonl", os.urandom(60_000_000))
    service.file("z.jsonl", folder="z-last")
    async with service.request(EXPORT) as response:
        await response.content.readexactly(len(NOISE) + 100_000)
        os.truncate(big, 1000)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    ended = await service.audit("session_bulk_download")
    assert {row["resource"]: row["result"] for row in ended} == {
        "users/a-first/sessions": "error",
        "users/u-1/sessions": "error",
    }


async def test_head_and_wrong_queries(service: World) -> None:
    head = await service.get(EXPORT, "HEAD")
    assert (head.status, head.headers["X-Export-Files"], head.body) == (200, "0", b"")
    for query in ("session_file=a.jsonl", "since=yesterday", "compression=best", "user_id="):
        answer: Any = await service.get(f"{EXPORT}?{query}")
        assert_problem(answer, 422)
    assert await service.audit() == []
