"""Every place that a path can come from, with every payload, and canaries that nobody may hear.

An answer about the canary and one about a name that is nowhere must be the same, but for that name; so must the log.
"""

import json
import logging
import re
import subprocess
import zipfile
from collections.abc import Iterator
from io import BytesIO
from itertools import product
from pathlib import Path
from urllib.parse import quote

import pytest

from service.catalog import User
from service.pools import Pool
from service.store import LocalStore, user_directories
from service.store.layout import checked_layout
from tests.payloads import NAME, OTHER, arrived, in_a_url
from tests.raw import Reply, Wire, wire
from tests.world import World

pytestmark = pytest.mark.long

SECRET = b"the canary sings 5f0c"
USER_PLACES = ["{}/sessions", "{}/sessions/download-all", "{}/activity", "{}/sessions/a.jsonl/download"]
FILE_PLACES = ["u-1/sessions/{}/download"]

# 11 and the number of spellings, 25, have no factor in common, so that each spelling occurs, and each target.
each_eleventh_or_all = pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.long)])


@pytest.fixture
async def guarded(service: World, caplog: pytest.LogCaptureFixture) -> World:
    """Canaries in the root, beside it, and in the directory of another user; Alice has a file as well."""
    caplog.set_level(logging.INFO)
    beside = service.root.parent
    for directory in (service.root, beside, service.root / NAME, beside / NAME):
        directory.mkdir(exist_ok=True)
        (directory / f"{NAME}.jsonl").write_bytes(SECRET)
    service.file("a.jsonl", b"of Alice")
    await service.add_users(User("u-2", f"{NAME}@example.com", None))
    return service


def heard(reply: Reply) -> bytes:
    """All that the answer says, an archive unpacked."""
    said = repr(reply.visible()).encode() + reply.body
    if reply.headers["Content-Type"] == "application/zip":
        with zipfile.ZipFile(BytesIO(reply.body)) as archive:
            said += b"".join(info.filename.encode() + archive.read(info) for info in archive.infolist())
    return said


def without_the_name(said: object) -> str:
    """Payloads name the one or the other, and are echoed; requests differ in how long they take, too."""
    return re.sub(r"[\d.]+ms", "", repr(said)).replace(NAME, "IT").replace(OTHER, "IT")


def tell_apart(log: list[str], first: Reply, other: Reply) -> bool:
    half = len(log) // 2
    return without_the_name((first.visible(), log[:half])) != without_the_name((other.visible(), log[half:]))


async def ask(service: World, target: str) -> Reply:
    async with wire(service.running.port) as line:
        return await line.ask(target, "X-Request-ID: same")


async def asked_for_both(service: World, line: Wire, path: str, caplog: pytest.LogCaptureFixture) -> Reply:
    """The answer about the canary, after a look at the one about what is nowhere."""
    caplog.clear()
    replies = [
        await (line.ask(target, "X-Request-ID: same") if len(target) < 15_000 else ask(service, target))
        for target in (f"/api/admin/users/{path.replace('NAME', name)}" for name in (NAME, OTHER))
    ]
    assert not tell_apart(caplog.messages, *replies), (path, replies, caplog.messages)
    assert SECRET not in heard(replies[0]), path
    assert SECRET.decode() not in caplog.text
    return replies[0]


def test_there_are_enough_payloads() -> None:
    assert len(arrived()) >= 300
    assert len(in_a_url()) >= 300


@each_eleventh_or_all
@pytest.mark.parametrize("place", USER_PLACES + FILE_PLACES)
async def test_no_path_in_a_url_leads_anywhere(
    guarded: World, place: str, step: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with wire(guarded.running.port) as line:
        for payload in in_a_url()[::step]:
            reply = await asked_for_both(guarded, line, place.format(payload), caplog)
            assert reply.status in (400, 404, 405), (payload, reply)


async def test_the_canary_can_be_heard_where_it_belongs(guarded: World) -> None:
    """Else the tests above would hear nothing because they are deaf."""
    for path in ("u-2/sessions/download-all", f"u-2/sessions/{NAME}.jsonl/download"):
        assert SECRET in heard(await ask(guarded, f"/api/admin/users/{path}"))


def hostile_users(column: str) -> Iterator[User]:
    """One for the canary and one for what is nowhere, for each payload."""
    for number, payload in enumerate(arrived()):
        for name in (NAME, OTHER):
            text = payload.replace("NAME", name)
            if column == "id":
                yield User(text, f"{name}-{number}@example.com", None)
            else:
                yield User(f"{name}-{number}", f"{text}@example.com", None)


@each_eleventh_or_all
@pytest.mark.parametrize("column", ["id", "email"])
async def test_no_path_in_the_catalog_leads_anywhere(
    guarded: World, column: str, step: int, caplog: pytest.LogCaptureFixture
) -> None:
    users = list(hostile_users(column))
    columns = [[user.id for user in users], [user.email for user in users]]
    await guarded.sql("INSERT INTO users (id, email) SELECT unnest($1), unnest($2)", columns)
    async with wire(guarded.running.port) as line:
        for user in users[:: 2 * step]:
            if len(user.id) < 2000:
                found = quote(user.id.replace(NAME, "NAME"), safe="")
                listed = await asked_for_both(guarded, line, f"{found}/sessions", caplog)
                assert (listed.status, listed.json["rows"]) == (200, []), user
                exported = await asked_for_both(guarded, line, f"{found}/sessions/download-all", caplog)
                assert exported.status == 404, user
    some = [quote(user.id, safe="") for user in users[:: 9 * step] if len(user.id) < 2000]
    for user_id in some:
        assert (await ask(guarded, f"/api/admin/users/{user_id}/sessions/{NAME}.jsonl/download")).status == 404


@pytest.mark.parametrize("template", ["{email_local}/PAYLOAD", "PAYLOAD/{email_local}", "PAYLOAD{user_id}"])
def test_no_path_in_a_layout_leads_anywhere(tmp_path: Path, template: str) -> None:
    """It stops the start, or it names one directory right under the root."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / f"{NAME}.jsonl").write_bytes(SECRET)
    store = LocalStore(root, Pool("files", 1))
    refused = 0
    for payload in arrived():
        layout = template.replace("PAYLOAD", payload.replace("NAME", NAME))
        try:
            checked_layout(layout)
        except ValueError:
            refused += 1
            continue
        for user_id in (".", "..", "", "/", "x"):
            for name in user_directories([layout], user_id, f"{user_id}@example.com"):
                assert (root / name).parent == root
                assert (root / name).resolve().parent == root
                assert not store.user_files((name,)).exists
    assert refused > 150


@pytest.mark.parametrize(
    "layout", ["{email_local}", "{user_id}", "{email}", ".{user_id}", "{user_id}.", "{user_id}{email_local}"]
)
async def test_dots_alone_are_no_directory_in_any_layout(
    world: World, layout: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.layouts = (layout,)
    service = await world.start()
    for directory in (service.root, service.root.parent):
        (directory / f"{NAME}.jsonl").write_bytes(SECRET)
    await service.add_users(User(".", "a@example.com", None), User("..", "..@", None), User("/", "/@", None))
    await service.sql("INSERT INTO users (id, email) VALUES ('', '')")
    for user in (".", "..", "%2f"):
        for path in ("sessions", "sessions/download-all", f"sessions/{NAME}.jsonl/download"):
            reply = await ask(service, f"/api/admin/users/{user}/{path}")
            assert SECRET not in heard(reply)
            assert NAME.encode() not in heard(reply).replace(b"download", b"").split(b'"instance"')[0]
            assert reply.status == (200 if path == "sessions" else 404)


async def test_no_name_on_the_disk_leads_anywhere(guarded: World, tmp_path: Path) -> None:
    """Files with such names, and good names that are links: neither gets into an archive, and all stays inside."""
    alice = guarded.root / "alice"
    for number, payload in enumerate(arrived()):
        name = payload.replace("NAME", NAME).replace("/", "\u2215") + ".jsonl"
        if "\0" not in name and len(name.encode()) < 256:
            (alice / name).write_bytes(b"a hostile name")
        target = payload.replace("NAME", NAME).replace("\0", "")
        if len(target.encode()) < 4000:
            (alice / f"link-{number}.jsonl").symlink_to(target)
    listed = (await guarded.get("u-1/sessions")).json
    assert [row["session_file"] for row in listed["rows"]] == ["a.jsonl"]
    body = (await guarded.get("u-1/sessions/download-all")).body
    with zipfile.ZipFile(BytesIO(body)) as archive:
        assert archive.namelist() == ["a.jsonl", "_skipped.json"]
        skipped = json.loads(archive.read("_skipped.json"))
    assert len(skipped) > 300
    assert all(row["name"].isprintable() for row in skipped)
    assert SECRET not in heard(await ask(guarded, "/api/admin/users/u-1/sessions/download-all"))
    (tmp_path / "it.zip").write_bytes(body)
    (tmp_path / "in" / "side").mkdir(parents=True)
    before = {path for path in tmp_path.rglob("*") if "side" not in path.parts}
    subprocess.run(["unzip", "-q", tmp_path / "it.zip"], cwd=tmp_path / "in" / "side", check=True)
    assert {path for path in tmp_path.rglob("*") if "side" not in path.parts} == before
    for number in range(0, len(arrived()), 10):
        reply = await ask(guarded, f"/api/admin/users/u-1/sessions/link-{number}.jsonl/download")
        assert reply.status in (400, 404)


@pytest.mark.parametrize("target", ["..", ".", f"../../{NAME}", "/", "/etc", f"../{OTHER}", "../../root", "loop"])
async def test_a_directory_that_is_a_link_out_of_the_root_is_none(guarded: World, target: str) -> None:
    await guarded.add_users(User("u-3", "loop@example.com", None))
    (guarded.root / "loop").symlink_to(target)
    assert (await guarded.get("u-3/sessions")).json["rows"] == []
    assert (await guarded.get("u-3/sessions/download-all")).status == 404
    assert (await guarded.get(f"u-3/sessions/{NAME}.jsonl/download")).status == 404


SPELLINGS_OF_A_PATH = [
    "/api/admin",
    "/api/admin/",
    "//api/admin/users/u-1/sessions",
    "/api//admin/users/u-1/sessions",
    "/api/./admin/users/u-1/sessions",
    "/x/../api/admin/users/u-1/sessions",
    "/API/ADMIN/users/u-1/sessions",
    "/api%2fadmin/users/u-1/sessions",
    "/api/%61dmin/users/u-1/sessions",
    "/%61pi/admin/users/u-1/sessions",
    "/api/admin;x=1/users/u-1/sessions",
    "/api/admin%00/users/u-1/sessions",
    "/api/admin/users/u-1/sessions/",
    "/api/admin/users/u-1/sessions%2f",
    "/api/admin/users/u-1/sessions/..%2f..%2f..%2fhealthz/download",
    "/api/admin/../../healthz",
    "/healthz/../api/admin/users/u-1/sessions",
    "/healthz%2f..%2fapi/admin/users/u-1/sessions",
    "http://test/api/admin/users/u-1/sessions",
    "http://evil@test/api/admin/users/u-1/sessions",
    "/api/admin/users/u-1/sessions?x=/healthz",
    "/api/admin/users/u-1/sessions#/healthz",
    "/readyz;/api/admin/users/u-1/sessions",
    "/api/admin/users/u-1/activity",
    "/api\\admin\\users\\u-1\\sessions",
]


async def test_no_spelling_of_a_path_gets_around_the_guard(guarded: World) -> None:
    for target, method in product(SPELLINGS_OF_A_PATH, ("GET", "HEAD", "OPTIONS", "TRACE")):
        async with wire(guarded.running.port) as line:
            reply = await line.ask(target, method=method, token="")
        assert reply.status == 401 or (reply.status == 400 and not target.startswith(("/api/admin/", "http://")))
        assert b"a.jsonl" not in reply.body
