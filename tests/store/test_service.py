"""The whole service with its sessions in a bucket, on a real S3 server."""

import io
import json
import os
import zipfile
from collections.abc import Iterator

import pytest

from service.config import S3, Exports
from service.store import BucketRoot
from tests.bucket import StandIn, in_thread
from tests.s3_faults import Faults, faulty
from tests.store.stores import BucketContent
from tests.world import World, assert_problem

pytestmark = pytest.mark.long

MIB = 1024 * 1024
BIG = os.urandom(3 * MIB + 11)
SESSIONS = "u-1/sessions"
EXPORT = f"{SESSIONS}/download-all"


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def endpoint(s3_endpoint: str, faults: Faults) -> Iterator[str]:
    with faulty(s3_endpoint, faults) as url:
        yield url


@pytest.fixture
def far_world(world: World, bucket: BucketContent, endpoint: str) -> World:
    """A world on `bucket`, which is behind a proxy that does `faults`."""
    world.bucket = BucketRoot(bucket.name, "some/prefix/")
    world.s3 = S3(endpoint=endpoint, path_style=True, connections=16)
    return world


async def test_sessions_are_listed(far_world: World, bucket: BucketContent) -> None:
    bucket.put("alice/known.jsonl", b"12345")
    bucket.put("alice/new.jsonl", b"1234567")
    bucket.put("bob/secret.jsonl", b"1")
    service = await far_world.start()
    await service.add_usage("known.jsonl")
    await service.add_usage("gone.jsonl")
    found = (await service.get(SESSIONS)).json["rows"]
    assert {row["session_file"]: row["size_bytes"] for row in found} == {
        "known.jsonl": 5,
        "gone.jsonl": None,
        "new.jsonl": 7,
    }


async def test_a_session_is_downloaded_with_ranges_and_conditions(far_world: World, bucket: BucketContent) -> None:
    bucket.put("alice/a.jsonl", BIG)
    service = await far_world.start()
    path = f"{SESSIONS}/a.jsonl/download"
    whole = await service.get(path)
    assert (whole.status, whole.body) == (200, BIG)
    part = await service.get(path, headers={"Range": f"bytes={MIB + 3}-", "If-Range": whole.headers["ETag"]})
    assert (part.status, part.body) == (206, BIG[MIB + 3 :])
    assert (await service.get(path, headers={"If-None-Match": whole.headers["ETag"]})).status == 304
    head = await service.get(path, "HEAD")
    assert (head.headers["Content-Length"], head.headers["ETag"]) == (str(len(BIG)), whole.headers["ETag"])
    bucket.put("alice/a.jsonl", BIG[::-1])
    part = await service.get(path, headers={"Range": "bytes=5-", "If-Range": whole.headers["ETag"]})
    assert (part.status, part.body) == (200, BIG[::-1])
    assert [row["action"] for row in await service.audit("session_download")] == ["session_download"] * 3


@pytest.mark.parametrize("compression", ["fast", "small", "store"])
async def test_an_export_is_what_the_bucket_has(far_world: World, bucket: BucketContent, compression: str) -> None:
    bodies = {f"{number:02}.jsonl": BIG[: number * 101_111] for number in range(25)} | {"big.jsonl": BIG}
    for name, body in bodies.items():
        bucket.put(f"alice/{name}", body)
    bucket.put("alice/a b.jsonl", b"no session file")
    service = await far_world.start()
    answer = await service.get(f"{EXPORT}?compression={compression}")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert {name: archive.read(name) for name in bodies} == bodies
        assert [row["name"] for row in json.loads(archive.read("_skipped.json"))] == ["a b.jsonl"]
    (row,) = await service.audit("session_bulk_download")
    assert json.loads(row["params"])["file_count"] == len(bodies)


async def test_an_object_that_vanishes_during_an_export_is_skipped_and_reported(
    far_world: World, bucket: BucketContent, faults: Faults
) -> None:
    """Only the first MiB or so is fetched in advance while there is no memory for more."""
    far_world.s3 = far_world.s3.model_copy(update={"prefetch_memory": 1})
    far_world.exports = Exports(threads=1)
    for number in range(40):
        bucket.put(f"alice/{number:02}.jsonl", BIG[:MIB])
    service = await far_world.start()
    async with service.request(EXPORT) as response:
        first = await response.content.readany()
        bucket.delete("alice/39.jsonl")
        body = first + await response.read()
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("_skipped.json")) == [
            {"name": "39.jsonl", "reason": "No such session file."},
        ]
        assert len(archive.namelist()) == 40


async def test_a_bucket_that_does_not_answer_is_503_until_it_does(
    far_world: World, bucket: BucketContent, faults: Faults
) -> None:
    bucket.put("alice/a.jsonl", b"x")
    service = await far_world.start()
    assert (await service.get("/readyz", token=None)).status == 200
    faults.slow_downs = 1_000_000
    for path in (SESSIONS, f"{SESSIONS}/a.jsonl/download", EXPORT):
        assert_problem(await service.get(path), 503, "The session store does not answer.")
    assert_problem(await service.get("/readyz", token=None), 503, "Not answering: store.")
    faults.slow_downs = 0
    assert (await service.get("/readyz", token=None)).status == 200
    assert (await service.get(f"{SESSIONS}/a.jsonl/download")).body == b"x"


async def test_a_bucket_that_is_missing_is_503_and_not_ready(far_world: World) -> None:
    far_world.bucket = BucketRoot("no-such-bucket", "")
    service = await far_world.start()
    for path in (SESSIONS, f"{SESSIONS}/a.jsonl/download", EXPORT):
        assert_problem(await service.get(path), 503, "The session store does not answer.")
    assert_problem(await service.get("/readyz", token=None), 503, "Not answering: store.")


async def test_a_user_without_objects_has_no_directory(far_world: World, bucket: BucketContent) -> None:
    bucket.put("bob/secret.jsonl", b"1")
    service = await far_world.start()
    assert_problem(await service.get(EXPORT), 404, "The user has no sessions directory.")
    assert_problem(await service.get(f"{SESSIONS}/secret.jsonl/download"), 404, "No such session file.")


async def test_the_index_reads_many_objects_at_the_same_time(world: World, credentials: None) -> None:
    stand_in = StandIn(latency=0.02)
    line = json.dumps({"type": "user", "message": {"content": "needle"}, "timestamp": "2026-05-10T12:00:00Z"}).encode()
    for number in range(100):
        stand_in.put(f"alice/{number:03}.jsonl", line + b"\n" + b" " * (3 * MIB if number == 50 else number))
    with in_thread(stand_in) as url:
        world.bucket = BucketRoot("sessions", "")
        world.s3 = S3(endpoint=url, path_style=True, connections=16)
        service = await world.start()
        answer = await service.get(f"{SESSIONS}?q=needle")
        assert answer.json["pagination"]["total"] == 100
        assert stand_in.most_running == 16
        await service.stop()
