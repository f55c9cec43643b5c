"""Exact length, conditions and ranges of an export, over HTTP."""

import json
import os
from pathlib import Path

import aiohttp
import pytest

from service.api.parts import ARCHIVES
from service.archive import Compression
from service.archive.codec import BLOCK
from service.catalog import User
from service.cli.transcripts import Writer
from service.config import Exports
from service.store import Announced, NotFound
from service.store.local import LocalUserFiles
from service.transfers.admission import ADMISSION
from tests.world import NOISE, Answer, World, assert_problem

EXPORT = "u-1/sessions/download-all"


@pytest.fixture
async def files(service: World) -> list[Path]:
    """Sessions of a block and less, and of several blocks."""
    contents = [b"".join(Writer(seed=n).session(200_000)) for n in range(3)]
    return [service.file(f"{n}.jsonl", data) for n, data in enumerate([*contents, NOISE])]


def tag_of(answer: Answer) -> str:
    tag: str = answer.headers["ETag"].strip('"')
    return tag


def assert_part(answer: Answer, whole: bytes, start: int, stop: int) -> None:
    assert answer.status == 206, answer.body
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(whole)}"
    assert answer.headers["Content-Length"] == str(stop - start)
    assert answer.body == whole[start:stop]


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.usefixtures("files")
async def test_the_first_export_is_chunked_and_the_next_has_its_exact_length(
    service: World, compression: Compression
) -> None:
    url = f"{EXPORT}?compression={compression}"
    first, second = await service.get(url), await service.get(url)
    head = await service.get(url, "HEAD")
    assert "Content-Length" not in first.headers
    assert second.body == first.body
    assert second.headers["Content-Length"] == head.headers["Content-Length"] == str(len(first.body))
    for name in ("ETag", "Accept-Ranges", "Content-Location", "X-Export-Files", "X-Export-Bytes", "Content-Type"):
        assert first.headers[name] == second.headers[name] == head.headers[name]
    location = f"/api/admin/users/{url}&snapshot={tag_of(first)}"
    assert (first.headers["Content-Location"], first.headers["Accept-Ranges"]) == (location, "bytes")


@pytest.mark.parametrize("known", [True, False], ids=["known", "measured first"])
@pytest.mark.parametrize(
    "compression",
    [Compression.FAST, *(pytest.param(other, marks=pytest.mark.long) for other in Compression if other != "fast")],
)
@pytest.mark.usefixtures("files")
async def test_a_range_counts_with_a_tag_that_matches_or_on_a_pinned_url(
    service: World, compression: Compression, known: bool
) -> None:
    url = f"{EXPORT}?compression={compression}"
    whole = await service.get(url)
    tag, size = tag_of(whole), len(whole.body)
    for start in (0, 1, size // 2, size - BLOCK, size - 1):
        if not known:
            await forget(service)
        header = {"Range": f"bytes={start}-"}
        assert_part(await service.get(url, headers=header | {"If-Range": f'"{tag}"'}), whole.body, start, size)
        assert_part(await service.get(f"{url}&snapshot={tag}", headers=header), whole.body, start, size)
    suffix = await service.get(f"{url}&snapshot={tag}", headers={"Range": "bytes=-100"})
    assert_part(suffix, whole.body, size - 100, size)
    one_byte = await service.get(f"{url}&snapshot={tag}", headers={"Range": "bytes=7-7"})
    assert_part(one_byte, whole.body, 7, 8)


async def forget(service: World, *, catalog: bool = True) -> None:
    """As after a restart; with `catalog` as in a process that never knew."""
    archives = service.app[ARCHIVES]
    await archives.close()
    archives.remembered.__init__()  # type: ignore[misc]
    archives.snapshots.__init__()  # type: ignore[misc]
    if catalog:
        await service.sql("DELETE FROM export_figures")


OTHER_RANGES = [
    {"Range": "bytes=1000-"},
    {"Range": "bytes=1000-", "If-Range": '"0123456789abcdef0123456789abcdef"'},
    {"Range": "bytes=1000-", "If-Range": 'W/"TAG"'},
    {"Range": "bytes=1000-", "If-Range": "TAG"},
    {"Range": "bytes=1000-", "If-Range": "Wed, 13 May 2026 14:00:00 GMT"},
    {"Range": "bytes=1000-", "If-Range": "rubbish"},
    {"Range": "bytes=1000-", "If-Range": ""},
    {"Range": "bytes=0-9,20-29", "If-Range": '"TAG"'},
    {"Range": "bytes=9-1", "If-Range": '"TAG"'},
    {"Range": "lines=0-9", "If-Range": '"TAG"'},
    {"If-Range": '"TAG"'},
]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("known", [True, False])
async def test_any_other_range_gets_the_whole_archive(service: World, known: bool) -> None:
    whole = await service.get(EXPORT)
    for headers in OTHER_RANGES:
        if not known:
            await forget(service)
        sent = {name: value.replace("TAG", tag_of(whole)) for name, value in headers.items()}
        answer = await service.get(EXPORT, headers=sent)
        assert (answer.status, answer.body) == (200, whole.body), headers
        assert "Content-Range" not in answer.headers


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("known", [True, False])
async def test_a_range_beyond_the_end_is_416_and_no_transfer(service: World, known: bool) -> None:
    whole = await service.get(EXPORT)
    rows = len(await service.audit())
    if not known:
        await forget(service)
    pinned = f"{EXPORT}?snapshot={tag_of(whole)}"
    for beyond in (f"bytes={len(whole.body)}-", "bytes=-0", f"bytes={10**30}-"):
        answer = await service.get(pinned, headers={"Range": beyond})
        assert_problem(answer, 416, "The range begins beyond the end of the archive.")
        assert answer.headers["Content-Range"] == f"bytes */{len(whole.body)}"
    assert len(await service.audit()) == rows


@pytest.mark.usefixtures("files")
async def test_conditions_are_answered_before_anything_is_read(service: World) -> None:
    whole = await service.get(EXPORT)
    tag, rows = whole.headers["ETag"], len(await service.audit())
    for method in ("GET", "HEAD"):
        for tags in (tag, f'"other", W/{tag}', "*"):
            answer = await service.get(EXPORT, method, headers={"If-None-Match": tags})
            assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag)
        assert (await service.get(EXPORT, method, headers={"If-Match": '"other"'})).status == 412
    assert (await service.get(EXPORT, headers={"If-Match": tag})).body == whole.body
    assert len(await service.audit()) == rows + 2


async def test_files_that_grew_are_cut_where_they_were(service: World, files: list[Path]) -> None:
    whole = await service.get(EXPORT)
    tag, middle = tag_of(whole), len(whole.body) // 2
    for path in files:
        with path.open("ab") as file:
            file.write(b"grown\n" * 1000)
    service.file("later.jsonl")
    header = {"Range": f"bytes={middle}-"}
    pinned = f"{EXPORT}?snapshot={tag}"
    assert_part(await service.get(pinned, headers=header), whole.body, middle, len(whole.body))
    assert (await service.get(pinned)).body == whole.body
    again = await service.get(EXPORT, headers=header | {"If-Range": f'"{tag}"'})
    assert_part(again, whole.body, middle, len(whole.body))
    now = await service.get(EXPORT, headers=header)
    assert (now.status, tag_of(now) != tag, now.body != whole.body) == (200, True, True)


@pytest.mark.parametrize("change", ["replaced", "gone", "shorter"])
async def test_a_plan_that_cannot_be_had_any_more_is_412_or_the_whole_anew(
    service: World, files: list[Path], change: str
) -> None:
    whole = await service.get(EXPORT)
    match change:
        case "replaced":
            service.file("new", files[1].read_bytes()).rename(files[1])
        case "gone":
            files[1].unlink()
        case "shorter":
            os.truncate(files[1], 1000)
    header = {"Range": "bytes=100-"}
    pinned = f"{EXPORT}?snapshot={tag_of(whole)}"
    for method in ("GET", "HEAD"):
        answer = await service.get(pinned, method, headers=header)
        assert answer.status == 412
    assert_problem(await service.get(pinned), 412)
    answer = await service.get(EXPORT, headers=header | {"If-Range": whole.headers["ETag"]})
    assert (answer.status, tag_of(answer) != tag_of(whole)) == (200, True)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("snapshot", ["0" * 32, "x", "%22", "%C3%A9"])
async def test_a_snapshot_that_never_was_is_412(service: World, snapshot: str) -> None:
    assert_problem(await service.get(f"{EXPORT}?snapshot={snapshot}"), 412)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("query", ["", "?manifest=true", "?compression=store"])
async def test_after_a_restart_the_catalog_knows_the_length(service: World, query: str) -> None:
    whole = await service.get(f"{EXPORT}{query}")
    await forget(service, catalog=False)
    head = await service.get(f"{EXPORT}{query}", "HEAD")
    assert head.headers["Content-Length"] == str(len(whole.body))
    assert (await service.get(f"{EXPORT}{query}")).body == whole.body


async def test_saved_figures_that_are_wrong_break_one_export(service: World, files: list[Path]) -> None:
    """Rewritten in place while the service was down, with the time and size that it had."""
    await service.get(EXPORT)
    await forget(service, catalog=False)
    status = files[3].stat()
    files[3].write_bytes(NOISE[::-1])
    os.utime(files[3], ns=(status.st_atime_ns, status.st_mtime_ns))
    async with service.request(EXPORT) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    after = await service.get(EXPORT)
    assert after.status == 200
    await forget(service, catalog=False)
    assert (await service.get(EXPORT)).body == after.body


@pytest.mark.usefixtures("files")
async def test_another_dialect_of_the_codec_is_another_plan(service: World) -> None:
    """As after an update, or on another kind of processor."""
    whole = await service.get(EXPORT)
    await forget(service)
    service.app[ARCHIVES]._dialects[Compression.FAST] = b"another!"
    assert_problem(await service.get(f"{EXPORT}?snapshot={tag_of(whole)}"), 412)
    answer = await service.get(EXPORT, headers={"Range": "bytes=9-", "If-Range": whole.headers["ETag"]})
    assert (answer.status, "Content-Length" in answer.headers) == (200, False)


async def test_what_cannot_be_measured_in_time_is_sent_whole(world: World) -> None:
    world.exports = Exports(patience=0)
    service = await world.start()
    service.file("0.jsonl", NOISE)
    tag = tag_of(await service.get(EXPORT, "HEAD"))
    answer = await service.get(f"{EXPORT}?snapshot={tag}", headers={"Range": "bytes=100-"})
    assert (answer.status, tag_of(answer)) == (200, tag)
    assert_part(
        await service.get(f"{EXPORT}?snapshot={tag}", headers={"Range": "bytes=100-"}),
        answer.body,
        100,
        len(answer.body),
    )


@pytest.mark.usefixtures("files")
async def test_each_range_is_a_transfer_of_its_own_in_the_audit_log(service: World) -> None:
    whole = await service.get(EXPORT)
    before, tag, size = len(await service.audit()), tag_of(whole), len(whole.body)
    await service.get(f"{EXPORT}?snapshot={tag}", headers={"Range": f"bytes={size - 1000}-{size - 501}"})
    started, ended = (await service.audit())[before:]
    params = {"username": "alice", "archive": tag, "range": f"bytes {size - 1000}-{size - 501}/{size}"}
    assert json.loads(started["params"]).items() >= params.items()
    assert json.loads(ended["params"]).items() >= (params | {"bytes_sent": 500}).items()
    assert (started["result"], ended["result"]) == ("started", "success")


async def test_what_is_remembered_wrongly_breaks_the_export_and_the_next_one_is_right(
    service: World, files: list[Path]
) -> None:
    """Rewritten in place behind the service's back, with the time and size that it had."""
    whole = await service.get(EXPORT)
    status, text = files[3].stat(), bytearray(files[3].read_bytes())
    text[-10] ^= 1
    with files[3].open("r+b") as file:
        file.write(text)
    os.utime(files[3], ns=(status.st_atime_ns, status.st_mtime_ns))
    async with service.request(EXPORT) as response:
        assert response.headers["ETag"] == whole.headers["ETag"]
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert (await service.audit())[-1]["result"] == "error"
    after = await service.get(EXPORT)
    assert (after.status, len(after.body)) == (200, len(whole.body))
    assert after.body != whole.body


async def test_a_file_that_is_made_unreadable_breaks_what_was_promised_and_is_skipped_next(
    service: World, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time and size stay, so the plan does."""
    whole = await service.get(EXPORT)
    opened = LocalUserFiles.open

    def refusing(self: LocalUserFiles, name: str, announced: Announced | None = None) -> object:
        if name == files[3].name:
            raise NotFound
        return opened(self, name, announced)

    monkeypatch.setattr(LocalUserFiles, "open", refusing)
    async with service.request(EXPORT) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    skipping = await service.get(EXPORT)
    assert (skipping.status, b"_skipped.json" in skipping.body) == (200, True)
    monkeypatch.undo()
    anew = await service.get(EXPORT)
    assert tag_of(anew) not in (tag_of(whole), tag_of(skipping)), "what the tag stood for was not sent"
    assert anew.body == whole.body


async def test_all_ranges_of_a_caller_and_plan_take_one_slot(world: World) -> None:
    world.exports = Exports(max_concurrent=1, queue_timeout=0)
    service = await world.start()
    service.file("a.jsonl", os.urandom(40_000_000))
    tag = tag_of(await service.get(EXPORT))
    pinned = f"{EXPORT}?snapshot={tag}"
    held = [await service.request(pinned, headers={"Range": f"bytes={n}-"}) for n in range(8)]
    assert [response.status for response in held] == [206] * 8
    assert service.app[ADMISSION].running == 1
    assert_problem(await service.get(pinned), 503)
    for response in held:
        response.close()


async def test_a_snapshot_of_one_user_is_none_of_another(service: World) -> None:
    """Both have a file of the same name; a tag says nothing of where its files are."""
    await service.add_users(User("u-2", "bob@example.com", None))
    service.file("a.jsonl", b"alice's")
    service.file("a.jsonl", b"bob's", folder="bob")
    tag = tag_of(await service.get(EXPORT))
    assert_problem(await service.get(f"u-2/sessions/download-all?snapshot={tag}"), 412)
