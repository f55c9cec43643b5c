"""Links: what they give is what their path gives, and nobody but an admin can make one."""

import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from yarl import URL

from service.config import Links, Server
from service.http.body import MAX_BODY
from tests.linking import DOWNLOAD, EXPORT, LINKS, SECRET, link_to, make, take
from tests.world import PLAIN, World, assert_problem


@pytest.fixture
async def shared(service: World) -> World:
    service.file("a.jsonl", b"0123456789")
    return service


async def test_a_link_gives_the_download_with_its_ranges_and_conditions(shared: World) -> None:
    link = await link_to(shared, DOWNLOAD)
    direct, whole = await shared.get(DOWNLOAD), await take(shared, link)
    assert (whole.status, whole.body) == (200, b"0123456789")
    differing = {"Date", "X-Request-ID"}
    assert {n: v for n, v in whole.headers.items() if n not in differing} == {
        n: v for n, v in direct.headers.items() if n not in differing
    }
    part = await take(shared, link, Range="bytes=2-4", If_Range=whole.headers["ETag"])
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert (await take(shared, link, If_None_Match=whole.headers["ETag"])).status == 304
    assert_problem(await take(shared, link, Range="bytes=99-"), 416)
    head = await take(shared, link, "HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "10")


async def test_a_link_gives_the_export_with_the_query_of_its_path(shared: World) -> None:
    archive = await take(shared, await link_to(shared, f"{EXPORT}?compression=store"))
    assert archive.headers["Content-Disposition"].startswith('attachment; filename="alice-sessions-')
    (member,) = zipfile.ZipFile(io.BytesIO(archive.body)).infolist()
    assert (member.filename, member.compress_type) == ("a.jsonl", zipfile.ZIP_STORED)
    assert_problem(await take(shared, await link_to(shared, f"{EXPORT}?compression=none")), 422)


async def test_a_query_of_the_link_s_own_changes_nothing(shared: World) -> None:
    link = await link_to(shared, f"{EXPORT}?compression=store")
    archive = await take(shared, f"{link}?compression=fast&limit=1")
    assert zipfile.ZipFile(io.BytesIO(archive.body)).infolist()[0].compress_type == zipfile.ZIP_STORED


async def test_an_export_through_a_link_is_resumed_at_the_url_that_pins_it(shared: World) -> None:
    link = await link_to(shared, f"{EXPORT}?compression=store")
    whole = await take(shared, link)
    pinned = whole.headers["Content-Location"]
    assert pinned.startswith(f"{link}?snapshot=")
    shared.file("b.jsonl", b"another session, so that now the export is another one")
    part = await take(shared, pinned, Range="bytes=20-")
    assert (part.status, part.body) == (206, whole.body[20:])


async def test_a_link_to_a_pinned_url_is_pinned(shared: World) -> None:
    pinned = (await shared.get(EXPORT)).headers["Content-Location"]
    link = await link_to(shared, pinned)
    tag = (await take(shared, link)).headers["ETag"].strip('"')
    assert pinned.endswith(tag)
    assert (await take(shared, f"{link}?snapshot=other")).headers["ETag"].strip('"') == tag
    shared.file("a.jsonl", b"replaced").rename(shared.root / "alice" / "c.jsonl")
    assert_problem(await take(shared, link), 412)


async def test_what_is_taken_has_the_makers_rows_with_the_link(shared: World) -> None:
    made = (await make(shared, {"path": DOWNLOAD, "expires_in": 60})).json
    link = URL(made["url"]).raw_path
    await shared.get(link, token=None, headers={"X-Request-ID": "taken", "User-Agent": "colleague/1"})
    await take(shared, link, "HEAD")
    row, started, ended = await shared.audit()
    assert (row["action"], row["resource"], row["user_id"], row["result"]) == (
        "admin.link_made", f"links/{made['id']}", "admin1", "success",
    )  # fmt: skip
    assert json.loads(row["params"]) == {"link": made["id"], "path": DOWNLOAD, "expires_at": made["expires_at"]}
    for each in (started, ended):
        assert (each["user_id"], each["correlation_id"], each["client_kind"]) == ("admin1", "taken", "colleague")
        assert each["resource"] == "users/u-1/sessions/a.jsonl"
        assert json.loads(each["params"])["link"] == made["id"]


async def test_a_link_ends_when_it_was_asked_to(shared: World) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    for body, seconds in (
        ({}, 900),
        ({"expires_in": 1}, 1),
        ({"expires_in": 60.0}, 60),
        ({"expires_in": 86400}, 86400),
    ):
        made = (await make(shared, {"path": EXPORT} | body)).json
        ends = datetime.fromisoformat(made["expires_at"]) - timedelta(seconds=seconds)
        assert before <= ends <= datetime.now(UTC)


async def test_a_link_says_the_address_at_which_the_service_was_asked(world: World) -> None:
    world.server = Server.model_validate({"shutdown_timeout": 1, "trusted_proxies": ["127.0.0.1"]})
    service = await world.start()
    proxied = {"Host": "sessions.example.com", "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
    made = await make(service, {"path": EXPORT}, headers=proxied)
    assert made.json["url"].startswith("https://sessions.example.com/api/links/")


async def test_links_of_a_configured_secret_outlive_the_process_and_end_with_the_secret(world: World) -> None:
    world.links = Links(secret=SECRET)
    service = await world.start()
    service.file("a.jsonl")
    link = await link_to(service, DOWNLOAD)
    for secret, status in ((SECRET, 200), (SECRET[::-1], 404), (None, 404)):
        await service.stop()
        world.links = Links(secret=secret)
        await world.start()
        assert (await take(service, link)).status == status


BAD = [
    ({"path": "/api/admin/users/u-1/sessions"}, "path"),
    ({"path": "/api/admin/users/u-1/activity"}, "path"),
    ({"path": "/api/admin/me"}, "path"),
    ({"path": "/api/admin/links"}, "path"),
    ({"path": "/api/admin/doctor/session"}, "path"),
    ({"path": "/api/links/abc"}, "path"),
    ({"path": "/healthz"}, "path"),
    ({"path": ""}, "path"),
    ({"path": "api/admin/users/u-1/sessions/download-all"}, "path"),
    ({"path": f"http://evil.example{EXPORT}"}, "path"),
    ({"path": f"//evil.example{EXPORT}"}, "path"),
    ({"path": f"{EXPORT}#fragment"}, "path"),
    ({"path": f"{EXPORT}\r\nX: y"}, "path"),
    ({"path": f"{EXPORT}?since=ü"}, "path"),
    ({"path": "/api/admin/users/u-1/sessions/..%2Fx/download"}, "path"),
    ({"path": "/api/admin/users/u-1/sessions/a/b.jsonl/download"}, "path"),
    ({"path": "/api/admin/users/u-1/x/../sessions/download-all"}, "path"),
    ({"path": f"{EXPORT}?{'a' * 20_000}"[: MAX_BODY - 100], "expires_in": 0}, "expires_in"),
    ({"path": EXPORT, "expires_in": -1}, "expires_in"),
    ({"path": EXPORT, "expires_in": 86401}, "expires_in"),
    ({"path": EXPORT, "expires_in": "60"}, "expires_in"),
    ({"path": EXPORT, "expires_in": 60.5}, "expires_in"),
    ({"path": EXPORT, "expires_in": True}, "expires_in"),
    ({"path": EXPORT, "expires_in": 10**30}, "expires_in"),
    ({"path": EXPORT, "more": 1}, "more"),
    ({}, "path"),
    ([EXPORT], None),
]  # fmt: skip


@pytest.mark.parametrize(("body", "name"), BAD)
async def test_anything_else_is_a_422_that_says_where(service: World, body: object, name: str | None) -> None:
    answer = await make(service, body)
    assert_problem(answer, 422)
    assert answer.json["errors"][0]["loc"] == (["body"] if name is None else ["body", name])
    assert await service.audit() == []


@pytest.mark.parametrize("data", [b"", b"{", b"null", b"\xff", b'{"path": NaN, "path"', b"[" * 10_000])
async def test_a_body_that_is_no_json_is_a_422(service: World, data: bytes) -> None:
    answer = await service.get(LINKS, "POST", data=data, headers={"Content-Type": "application/json"})
    assert_problem(answer, 422)
    assert answer.json["errors"][0]["loc"] == ["body"]


async def test_a_body_that_is_too_large_is_a_413(service: World) -> None:
    headers = {"Content-Type": "application/json"}
    for data in (b" " * (MAX_BODY + 1), iter_in_chunks(MAX_BODY + 1)):
        assert_problem(await service.get(LINKS, "POST", data=data, headers=headers), 413)


async def iter_in_chunks(size: int) -> Any:
    for _ in range(0, size, 1024):
        yield b" " * 1024


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_form_of_another_site_makes_no_link(service: World, kind: str) -> None:
    body = json.dumps({"path": EXPORT}).encode()
    assert_problem(await service.get(LINKS, "POST", data=body, headers={"Content-Type": kind}), 415)


async def test_a_path_too_long_for_proxies_gets_no_link(service: World) -> None:
    noise = "&".join(f"session_file={hashlib.sha256(bytes([n])).hexdigest()}.jsonl" for n in range(180))
    answer = await make(service, {"path": f"{EXPORT}?{noise}"})
    assert_problem(answer, 422)


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("wrong", 401), (PLAIN, 403)])
async def test_only_an_admin_makes_a_link(service: World, token: str | None, status: int) -> None:
    assert_problem(await make(service, {"path": EXPORT}, token=token), status)
    assert await service.audit() == []


async def test_no_row_no_link(service: World) -> None:
    await service.sql("DROP TABLE audit_log")
    answer = await make(service, {"path": EXPORT})
    assert_problem(answer, 503)
    assert b"/api/links/" not in answer.body
