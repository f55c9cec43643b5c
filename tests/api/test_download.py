import asyncio
import os
import socket
from datetime import UTC, datetime

import aiohttp
import pytest

from tests.world import World, assert_problem, noise

DATA = bytes(range(256)) * 5000  # 1,280,000 bytes: more than one chunk


def path(name: str = "a.jsonl") -> str:
    return f"u-1/sessions/{name}/download"


async def test_the_raw_file_with_its_headers(service: World) -> None:
    file = service.file("a.jsonl", DATA, mtime=1_760_000_000.5)
    answer = await service.get(path())
    assert (answer.status, answer.body) == (200, DATA)
    status = file.stat()
    expected = {
        "Content-Type": "application/x-ndjson",
        "Content-Disposition": 'attachment; filename="a.jsonl"',
        "Content-Length": str(len(DATA)),
        "ETag": f'"{len(DATA):x}-{status.st_mtime_ns:x}-{status.st_dev:016x}{status.st_ino:016x}"',
        "Last-Modified": "Thu, 09 Oct 2025 08:53:20 GMT",
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-store",
    }
    assert {name: answer.headers[name] for name in expected} == expected
    assert "Content-Encoding" not in answer.headers


async def test_download_is_audited_before_and_after(service: World) -> None:
    service.file("a.jsonl", DATA)
    await service.get(path(), headers={"X-Request-ID": "req-7", "User-Agent": "curl/8.5.0"})
    started, ended = await service.audit("session_download%")
    params = '{"username": "alice", "session_file": "a.jsonl", "bytes": 1280000}'
    assert (started["action"], started["result"], started["params"]) == ("session_download_started", "started", params)
    assert (ended["action"], ended["result"]) == ("session_download", "success")
    assert ended["params"] == params[:-1] + ', "bytes_sent": 1280000}'
    assert ended["duration_ms"] >= 0
    for row in (started, ended):
        assert row["resource"] == "users/u-1/sessions/a.jsonl"
        assert (row["user_id"], row["correlation_id"]) == ("admin1", "req-7")
        assert (row["client_ip"], row["client_kind"]) == ("127.0.0.1", "curl")


async def test_an_empty_file_is_sent_and_audited(service: World) -> None:
    service.file("a.jsonl", b"")
    answer = await service.get(path())
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")
    assert [row["result"] for row in await service.audit("session_download%")] == ["started", "success"]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=5-9", 5, 9), ("bytes=1279999-", 1279999, 1279999), ("bytes=-3", 1279997, 1279999),
     ("bytes=-9999999", 0, 1279999), ("bytes=7-99999999999999999999999", 7, 1279999), ("BYTES=1-2", 1, 2),
     (f"bytes={'0' * 5000}1-2", 1, 2)],
)  # fmt: skip
async def test_one_range_is_206(service: World, asked: str, first: int, last: int) -> None:
    service.file("a.jsonl", DATA)
    answer = await service.get(path(), headers={"Range": asked})
    assert answer.status == 206
    assert answer.body == DATA[first : last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/1280000"
    assert answer.headers["Content-Length"] == str(last - first + 1)
    _, ended = await service.audit("session_download%")
    assert f'"range": "{asked[:200]}"' in ended["params"]
    assert f'"bytes_sent": {last - first + 1}' in ended["params"]


@pytest.mark.parametrize(
    "asked", ["bytes=5-2", "0-0,5-6", "bytes=0-0,5-6", "bytes=abc", "bytes=-", "lines=1-2", "bytes=1-2-3"]
)
async def test_a_range_that_is_not_one_valid_range_is_ignored(service: World, asked: str) -> None:
    service.file("a.jsonl", DATA)
    answer = await service.get(path(), headers={"Range": asked})
    assert (answer.status, answer.body) == (200, DATA)


@pytest.mark.parametrize(
    ("data", "asked"), [(DATA, "bytes=1280000-"), (DATA, "bytes=-0"), (b"", "bytes=0-"), (b"", "bytes=-5")]
)
async def test_a_range_beyond_the_end_is_416(service: World, data: bytes, asked: str) -> None:
    service.file("a.jsonl", data)
    answer = await service.get(path(), headers={"Range": asked})
    assert_problem(answer, 416)
    assert answer.headers["Content-Range"] == f"bytes */{len(data)}"
    assert await service.audit() == []


async def test_a_megabyte_of_ranges_is_refused_in_our_words(service: World) -> None:
    service.file("a.jsonl", DATA)
    with socket.create_connection(("127.0.0.1", service.running.port or 0)) as raw:
        request = f"GET /api/admin/users/{path()} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin-token\r\n"
        raw.sendall(request.encode() + b"Range: bytes=" + b"0-0," * 4000)  # refused before the header ends
        raw.setblocking(False)
        received = await read_all(raw)
    assert received.startswith(b"HTTP/1.0 400") or received.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in received
    assert b"X-Request-ID" in received


async def read_all(raw: socket.socket) -> bytes:
    received = b""
    while piece := await asyncio.get_running_loop().sock_recv(raw, 65536):
        received += piece
        if b"}" in received:
            break
    return received


async def test_if_range_takes_the_range_only_for_the_same_file(service: World) -> None:
    service.file("a.jsonl", DATA, mtime=1_760_000_000)
    head = await service.get(path(), "HEAD")
    for value in (head.headers["ETag"], head.headers["Last-Modified"]):
        assert (await service.get(path(), headers={"Range": "bytes=0-3", "If-Range": value})).status == 206
    for value in ('"other"', f"W/{head.headers['ETag']}", "Thu, 09 Oct 2025 08:53:21 GMT", "nonsense"):
        assert (await service.get(path(), headers={"Range": "bytes=0-3", "If-Range": value})).status == 200


async def test_conditional_requests(service: World) -> None:
    service.file("a.jsonl", DATA, mtime=1_760_000_000)
    head = await service.get(path(), "HEAD")
    tag, changed = head.headers["ETag"], head.headers["Last-Modified"]
    earlier = "Wed, 08 Oct 2025 08:53:20 GMT"
    cases = [
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": f'"x", W/{tag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-None-Match": '"x"', "If-Modified-Since": changed}, 200),
        ({"If-Modified-Since": changed}, 304),
        ({"If-Modified-Since": earlier}, 200),
        ({"If-Modified-Since": "rubbish"}, 200),
        ({"If-Match": tag}, 200),
        ({"If-Match": f"W/{tag}"}, 412),
        ({"If-Match": "*"}, 200),
        ({"If-Unmodified-Since": earlier}, 412),
        ({"If-Unmodified-Since": changed}, 200),
    ]
    for headers, status in cases:
        for method in ("GET", "HEAD"):
            answer = await service.get(path(), method, headers=headers)
            assert answer.status == status, (method, headers)
            if status == 304:
                assert (answer.body, answer.headers["ETag"]) == (b"", tag)


async def test_head_has_the_same_headers_no_body_and_no_audit_row(service: World) -> None:
    service.file("a.jsonl", DATA)
    head = await service.get(path(), "HEAD")
    assert await service.audit() == []
    get = await service.get(path())
    assert (head.status, head.body) == (200, b"")
    changing = {"Date", "X-Request-ID"}
    assert {k: v for k, v in head.headers.items() if k not in changing} == {
        k: v for k, v in get.headers.items() if k not in changing
    }


async def test_a_compressed_neighbour_is_not_served_instead(service: World) -> None:
    service.file("a.jsonl", b"plain")
    service.file("a.jsonl.gz", b"\x1f\x8bother")
    assert (await service.get(path(), headers={"Accept-Encoding": "gzip"})).body == b"plain"


NO_SESSION_FILES = [
    "..%2Fetc%2Fpasswd",
    "....//x.jsonl",
    "sub/file.jsonl",
    "x.jsonl%0a",
    "%00.jsonl",
    "x%00.jsonl",
    "..",
    "",
    "a.json",
    "{x}.jsonl",
    "%2e%2e%2fcanary.jsonl",
    "a%5Cb.jsonl",
    "a%20b.jsonl",
    "%C3%BC.jsonl",
    "%ff.jsonl",
    ".jsonl",
    "a.jsonl/",
    "%252e%252e%252fcanary.jsonl",
    "~.jsonl",
    "a.jsonl%0d%0aX-Evil:1",
]


async def test_a_name_that_is_no_session_file_is_400(service: World) -> None:
    (service.root / "canary.jsonl").write_bytes(b"canary")
    service.file("a.jsonl")
    for name in NO_SESSION_FILES:
        answer = await service.get(path(name))
        assert_problem(answer, 400, "The name is not that of a session file.")
        assert b"canary" not in answer.body.replace(name.encode(), b"")
    assert await service.audit() == []


@pytest.mark.parametrize("name", ["-rf.jsonl", "...jsonl", "a" * 249 + ".jsonl"])
async def test_odd_names_that_are_allowed(service: World, name: str) -> None:
    service.file(name, b"odd")
    assert (await service.get(path(name))).body == b"odd"


@pytest.mark.parametrize("name", ["none.jsonl", "a" * 250 + ".jsonl"])
async def test_no_such_file_is_404(service: World, name: str) -> None:
    service.file("a.jsonl")
    assert_problem(await service.get(path(name)), 404, "No such session file.")


async def test_an_unknown_user_is_404_and_a_wrong_name_is_400_first(service: World) -> None:
    assert_problem(await service.get("nobody/sessions/a.jsonl/download"), 404, "User not found")
    assert_problem(await service.get("nobody/sessions/a.txt/download"), 400)


@pytest.mark.parametrize("kind", ["directory", "fifo", "link inside", "link outside", "link nowhere", "socket"])
async def test_what_is_not_a_regular_file_is_400(service: World, kind: str) -> None:
    real = service.file("real.jsonl")
    odd = real.with_name("x.jsonl")
    if kind == "directory":
        odd.mkdir()
    elif kind == "fifo":
        os.mkfifo(odd)
    elif kind == "socket":
        os.mknod(odd, 0o140600)
    else:
        odd.symlink_to({"inside": "real.jsonl", "outside": "/etc/passwd", "nowhere": "gone"}[kind.split()[1]])
    assert_problem(await service.get(path("x.jsonl")), 400, "Not a regular file.")
    assert await service.audit() == []


async def test_another_users_file_is_not_found(service: World) -> None:
    service.file("theirs.jsonl", folder="bob")
    assert (await service.get(path("theirs.jsonl"))).status == 404


async def test_a_file_that_grows_is_sent_as_it_was_when_opened(service: World) -> None:
    big = noise(30_000_000)
    file = service.file("a.jsonl", big)
    async with service.request(path()) as response:
        first = await response.content.readexactly(10)
        with file.open("ab") as more:
            more.write(b"later")
        assert first + await response.read() == big
    assert response.headers["Content-Length"] == str(len(big))


async def test_a_file_that_is_removed_while_it_is_sent_is_sent_whole(service: World) -> None:
    big = noise(30_000_000)
    file = service.file("a.jsonl", big)
    async with service.request(path()) as response:
        first = await response.content.readexactly(10)
        file.unlink()
        assert first + await response.read() == big


async def test_a_file_that_is_cut_short_breaks_the_connection_off(service: World) -> None:
    file = service.file("a.jsonl", noise(30_000_000))
    async with service.request(path()) as response:
        await response.content.readexactly(10)
        os.truncate(file, 1000)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    _, ended = await service.audit("session_download%")
    assert ended["result"] == "error"


async def test_a_change_in_the_future_is_said_to_be_now(service: World) -> None:
    service.file("a.jsonl", mtime=7_258_118_400)
    answer = await service.get(path())
    changed = datetime.strptime(answer.headers["Last-Modified"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert changed <= datetime.now(UTC)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
async def test_an_unreadable_file_is_a_clear_500(service: World) -> None:
    file = service.file("a.jsonl")
    file.chmod(0)
    assert_problem(await service.get(path()), 500, "The file cannot be read.")


async def test_a_range_header_of_any_bytes_is_audited_as_text(service: World) -> None:
    service.file("a.jsonl", DATA)
    reader, writer = await asyncio.open_connection("127.0.0.1", service.running.port)
    head = f"GET /api/admin/users/{path()} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin-token\r\n"
    writer.write(head.encode() + b"Connection: close\r\nRange: bytes=\xff-\r\n\r\n")
    assert (await reader.read()).endswith(DATA)
    writer.close()
    _, ended = await service.audit("session_download%")
    assert r'"range": "bytes=\\udcff-"' in ended["params"]
