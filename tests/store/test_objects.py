"""Session files in a bucket: hostile and many keys, and servers and networks that fail."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, aclosing, closing
from pathlib import Path

import pytest

from service.config import S3, Storage
from service.pools import Pool
from service.store import Announced, NotFound, Read, Replaced, SessionStore, StoreUnavailable, StoreUnusable, open_store
from service.store.object_file import CHUNK
from service.store.prefetch import MOST_BYTES
from tests.bucket import MadeUp, StandIn, in_thread
from tests.s3_faults import Faults, faulty
from tests.store.stores import BucketContent

MIB = 1024 * 1024


def open_bucket(endpoint: str, pool: Pool, root: str = "s3://sessions", connections: int = 16) -> SessionStore:
    s3 = S3(endpoint=endpoint, path_style=True, connections=connections)
    return open_store(Storage.model_validate({"root": root, "s3": s3}), pool)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def endpoint(stand_in: StandIn, credentials: None, stack: ExitStack) -> str:
    return stack.enter_context(in_thread(stand_in))


@pytest.fixture
def store(endpoint: str, pool: Pool) -> Iterator[SessionStore]:
    made = open_bucket(endpoint, pool)
    yield made
    made.close()


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def far_store(bucket: BucketContent, faults: Faults, s3_endpoint: str, pool: Pool) -> Iterator[SessionStore]:
    """The bucket of `bucket`, on a real server, behind a proxy that does `faults`."""
    with faulty(s3_endpoint, faults) as url:
        made = open_bucket(url, pool, f"s3://{bucket.name}/some/prefix")
        yield made
        made.close()


HOSTILE = [
    "alice//a.jsonl",
    "alice/../bob/b.jsonl",
    "alice/./a.jsonl",
    "alice/new\nline.jsonl",
    "alice/tab\t.jsonl",
    "alice/nul\x01.jsonl",
    "alice/back\\slash.jsonl",
    "alice/%2e%2e%2fx.jsonl",
    'alice/<&>".jsonl',
    "alice/a+b.jsonl",
    "alice/",
    "alice//",
    "alice/marker.jsonl/",
    "alice/deep/down/x.jsonl",
    "alice",
    "/alice/a.jsonl",
    "../alice/a.jsonl",
]


@pytest.mark.parametrize("key", HOSTILE)
def test_one_hostile_key_hides_no_other(stand_in: StandIn, store: SessionStore, key: str) -> None:
    for other in ("alice/a.jsonl", "alice/zz.jsonl", "zoe/z.jsonl"):
        stand_in.put(other, b"x")
    stand_in.put(key, b"hostile")
    files = store.user_files(("alice",))
    listing = files.list()
    assert listing.names == ["a.jsonl", "zz.jsonl"]
    assert all(file.name.isprintable() for file in listing.skipped)
    assert {"alice", "zoe"} <= set(store.directories())
    for name in listing.names:
        file = files.open(name)
        assert file.read_at(0, file.size) == b"x"
        file.close()
    files.close()


def test_no_key_of_another_user_is_seen(stand_in: StandIn, store: SessionStore) -> None:
    for key in ("alice2/a.jsonl", "ali/a.jsonl", "alice.jsonl", "Alice/a.jsonl", "x/alice/a.jsonl"):
        stand_in.put(key, b"secret")
    files = store.user_files(("alice",))
    assert not files.exists
    assert files.list().names == []


@pytest.mark.parametrize("count", [5_000, pytest.param(300_000, marks=[pytest.mark.long, pytest.mark.timeout(300)])])
def test_many_keys_in_one_directory(stand_in: StandIn, store: SessionStore, count: int) -> None:
    for number in range(count):
        stand_in.put(f"alice/{number:06}.jsonl", MadeUp(number))
    stand_in.put("alice/~.txt", b"")
    listing = store.user_files(("alice",)).list()
    assert len(listing.names) == count
    assert listing.total_bytes == count * (count - 1) // 2
    assert listing.names[:: count // 2] == ["000000.jsonl", f"{count // 2:06}.jsonl"]


async def test_an_object_of_5_gb(stand_in: StandIn, store: SessionStore) -> None:
    size = 5_000_000_000
    stand_in.put("alice/huge.jsonl", MadeUp(size))
    files = store.user_files(("alice",))
    assert list(files.list().sizes) == [size]
    file = files.open("huge.jsonl")
    assert file.size == size
    whole = MadeUp(size)
    assert file.read_at(size - 1000, 1000) == whole[size - 1000 : size]
    wanted = range(size - 3 * MIB - 7, size - 5)
    data = b"".join([chunk async for chunk in file.chunks(wanted)])
    assert data == whole[wanted.start : wanted.stop]
    file.close()
    files.close()


async def test_a_download_holds_no_connection_while_its_client_is_slow(stand_in: StandIn, store: SessionStore) -> None:
    """So that a client may take an hour, whatever the server's own limit for a response is."""
    stand_in.put("alice/big.jsonl", MadeUp(40 * MIB))
    file = store.user_files(("alice",)).open("big.jsonl")
    chunks = file.chunks(range(file.size))
    await anext(chunks)
    ahead = MOST_BYTES // CHUNK  # the request that opened the file has the first of them
    async with asyncio.timeout(20):
        while len(stand_in.requests) < ahead or stand_in.running:
            await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    assert len(stand_in.requests) == ahead
    assert sum([len(chunk) async for chunk in chunks]) == 39 * MIB
    file.close()


@pytest.mark.long
async def test_a_slow_download_outlives_the_connections_to_the_bucket(
    stand_in: StandIn, endpoint: str, faults: Faults, pool: Pool
) -> None:
    """The client pauses until the bucket has closed all connections, again and again."""
    made_up = MadeUp(40 * MIB)
    stand_in.put("alice/big.jsonl", made_up)
    faults.idle_timeout = 0.2
    received = bytearray()
    with faulty(endpoint, faults) as url, closing(open_bucket(url, pool)) as store:
        file = store.user_files(("alice",)).open("big.jsonl")
        async with aclosing(file.chunks(range(file.size))) as chunks:
            async for chunk in chunks:
                received += chunk
                while len(received) % (16 * MIB) == 0 and faults.open:
                    await asyncio.sleep(0.01)
        file.close()
    assert faults.idle_closes > 1
    assert received == made_up[0 : made_up.size]


def test_latencies_overlap_within_the_connections(stand_in: StandIn, store: SessionStore) -> None:
    stand_in.latency = 0.02
    for number in range(200):
        stand_in.put(f"alice/{number:03}.jsonl", b"%d" % number)
    files = store.user_files(("alice",))
    listing = files.list()
    began = time.perf_counter()
    reads = files.prefetch((files, Read(0, name, 0, 3, b"0:")) for name in listing.names)
    assert reads is not None
    for number, name in enumerate(listing.names):
        file = files.open(name, Announced(reads, 0))
        assert file.read_at(0, file.size) == b"%d" % number
        file.close()
    assert stand_in.most_running == 16
    assert time.perf_counter() - began < 200 * 0.02 / 2
    reads.close()
    files.close()


def test_users_are_listed_at_the_same_time(stand_in: StandIn, store: SessionStore) -> None:
    stand_in.latency = 0.02
    users = [(f"user{number}",) for number in range(100)]
    for (user,) in users:
        stand_in.put(f"{user}/a.jsonl", b"x")
    assert [listing.names for listing in store.list_all(users)] == [["a.jsonl"]] * 100
    assert stand_in.most_running == 16


def test_a_listing_costs_a_request_for_a_thousand_keys_and_no_other(stand_in: StandIn, store: SessionStore) -> None:
    for number in range(2500):
        stand_in.put(f"alice/{number:04}.jsonl", b"x")
    files = store.user_files(("alice",))
    assert files.exists
    assert len(files.names()) == 2500
    assert files.stat_file("0000.jsonl") is not None
    files.list()
    assert len(stand_in.requests) == 3


def test_a_missing_bucket_is_not_a_missing_user(bucket: BucketContent, s3_endpoint: str, pool: Pool) -> None:
    store = open_bucket(s3_endpoint, pool, "s3://no-such-bucket")
    files = store.user_files(("alice",))
    for call in (store.check, files.list, store.directories, lambda: files.exists, lambda: files.open("a.jsonl")):
        with pytest.raises(StoreUnavailable) as raised:
            call()
        assert "NoSuchBucket" in str(raised.value.__cause__)
    store.close()


def test_a_server_that_refuses_connections_is_reported_soon(credentials: None, pool: Pool) -> None:
    store = open_bucket("http://127.0.0.1:1", pool)
    files = store.user_files(("alice",))
    began = time.monotonic()
    for call in (store.check, files.list, lambda: files.open("a.jsonl")):
        with pytest.raises(StoreUnavailable):
            call()
    assert time.monotonic() - began < 10
    store.close()


def test_without_credentials_the_store_is_unavailable_and_says_why(
    endpoint: str, pool: Pool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    store = open_bucket(endpoint, pool)
    for call in (store.check, lambda: store.user_files(("alice",)).open("a.jsonl")):
        with pytest.raises(StoreUnavailable) as raised:
            call()
        assert "no credentials" in str(raised.value.__cause__)
    store.close()


def test_a_missing_package_stops_the_start(monkeypatch: pytest.MonkeyPatch, pool: Pool) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    for module in ("service.store.bucket", "service.store.objects", "service.store.object_file"):
        monkeypatch.delitem(__import__("sys").modules, module, raising=False)
    with pytest.raises(StoreUnusable, match=r"pip install 'session-export\[s3\]'"):
        open_bucket("http://127.0.0.1:1", pool)


@pytest.mark.parametrize("fault", ["slow_downs", "cuts", "wrong_lengths"])
def test_passing_faults_are_retried(bucket: BucketContent, far_store: SessionStore, faults: Faults, fault: str) -> None:
    body = os.urandom(2 * MIB + 3)
    bucket.put("alice/a.jsonl", body)
    files = far_store.user_files(("alice",))
    setattr(faults, fault, 2)
    assert files.list().names == ["a.jsonl"]
    setattr(faults, fault, 2)
    file = files.open("a.jsonl")
    setattr(faults, fault, 2)
    assert b"".join(file.read_at(at, min(MIB, file.size - at)) for at in range(0, file.size, MIB)) == body
    assert faults.requests > 4
    file.close()
    files.close()


@pytest.mark.parametrize("fault", ["slow_downs", "cuts", "wrong_lengths"])
def test_lasting_faults_make_the_store_unavailable(
    bucket: BucketContent, far_store: SessionStore, faults: Faults, fault: str
) -> None:
    bucket.put("alice/a.jsonl", os.urandom(3000))
    files = far_store.user_files(("alice",))
    setattr(faults, fault, 1_000_000)
    for call in (files.list, lambda: files.open("a.jsonl")):
        with pytest.raises(StoreUnavailable):
            call()
    assert faults.requests <= 12
    setattr(faults, fault, 0)
    assert files.list().names == ["a.jsonl"]
    files.close()


def test_a_server_that_falls_silent_fails_the_check_within_two_seconds(
    bucket: BucketContent, far_store: SessionStore, faults: Faults
) -> None:
    far_store.check()
    faults.is_silent = True
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        far_store.check()
    assert time.monotonic() - began < 2
    faults.is_silent = False
    far_store.check()


def test_an_object_that_is_replaced_while_it_is_read_is_an_error_never_a_splice(bucket: BucketContent) -> None:
    bucket.put("alice/a.jsonl", b"a" * 3 * MIB)
    file = bucket.store.user_files(("alice",)).open("a.jsonl")
    bucket.put("alice/a.jsonl", b"b" * 3 * MIB)
    with pytest.raises(Replaced):
        file.read_at(MIB, MIB)
    bucket.delete("alice/a.jsonl")
    with pytest.raises((NotFound, Replaced)):
        file.read_at(MIB, MIB)
    file.close()
