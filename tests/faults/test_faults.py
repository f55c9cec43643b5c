"""Disks that fill, catalogs that break, session roots that go: told clearly, and healed without a restart."""

import asyncio
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import duckdb
import pytest

from service.api.parts import DATABASE
from service.catalog import CatalogError, CatalogUnusable, Replica
from service.catalog.database import Cursor
from service.catalog.duckdb import DuckdbDatabase
from service.transfers.transfer import TRANSFERS
from tests.faults.states import DOWNLOAD, EXPORT, assert_down, assert_up, ready
from tests.world import World, assert_problem, noise

pytestmark = pytest.mark.long

HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered between two requests."""
    monkeypatch.setattr("service.catalog.duckdb.FRESH", 0)
    monkeypatch.setattr("service.catalog.duckdb.PAUSE", 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all space that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))
    return filler


async def exhaust(service: World) -> None:
    """Downloads until one is refused: the log's last page may have room for a few rows."""
    for _ in range(100):
        try:
            if (await service.get(DOWNLOAD)).status == 503:
                return
        except aiohttp.ClientPayloadError:  # the first row had room, the second none
            return
    pytest.fail("the disk is full, and rows are written")


@pytest.mark.parametrize("where", ["write", "checkpoint"])
async def test_a_full_disk_under_the_catalog(
    world: World, small_disk: Path, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    """A write that fails leaves DuckDB usable; a checkpoint that fails does not, it must be opened again."""
    world.catalog = small_disk / "catalog.duckdb"
    service = await world.start()
    service.file("a.jsonl")
    filler = fill(small_disk)
    if where == "checkpoint":
        await assert_checkpoint_is_fatal(service)
    await exhaust(service)
    await assert_down(service)
    assert "No space left on device" in caplog.text
    assert "free space on the catalog's disk" in caplog.text
    filler.unlink()
    await assert_up(service)
    assert ("open again" in caplog.text) == (where == "checkpoint")


async def assert_checkpoint_is_fatal(service: World) -> None:
    with pytest.raises(CatalogError, match="FATAL"):
        await service.sql("CHECKPOINT")


async def break_fatally(service: World) -> None:
    """Without a file system of one's own: the process may write no file longer than the catalog is."""
    await service.sql("CREATE TABLE filler AS SELECT range AS n, hash(range) AS h FROM range(100000)")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (service.catalog.stat().st_size, limits[1]))
    try:
        await assert_checkpoint_is_fatal(service)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def test_after_a_fatal_failure_the_catalog_is_opened_again_with_all_its_rows(service: World) -> None:
    service.file("a.jsonl")
    await asyncio.gather(*(service.get(DOWNLOAD) for _ in range(20)))
    await break_fatally(service)
    answers = await asyncio.gather(*(service.get(DOWNLOAD) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}, "the first one opens it, the others wait for that"
    await assert_up(service)
    assert len(await service.audit("session_download")) == 41


@pytest.mark.parametrize("cause", ["gone", "locked", "broken"])
async def test_a_catalog_that_cannot_be_opened_again_is_tried_until_it_can(
    service: World, caplog: pytest.LogCaptureFixture, cause: str
) -> None:
    service.file("a.jsonl")
    await break_fatally(service)
    aside = service.catalog.with_suffix(".aside")
    service.catalog.rename(aside)
    await assert_down(service)
    assert "the file is gone or replaced; put it back, or restart" in caplog.text
    if cause == "locked":
        aside.rename(service.catalog)
        with subprocess.Popen(
            [sys.executable, "-c", HOLD, service.catalog], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            await assert_down(service)
        assert f"another process holds it: PID {holder.pid}" in caplog.text
    else:
        aside.rename(service.catalog)
        if cause == "broken":
            content = service.catalog.read_bytes()
            service.catalog.write_bytes(b"this is no database\n" * 1000)
            await assert_down(service)
            assert "not a DuckDB database file; move it away" in caplog.text
            service.catalog.write_bytes(content)
    await assert_up(service)


@pytest.mark.parametrize("what", ["file", "log"])
async def test_a_damaged_catalog_stops_the_start_with_what_to_do(world: World, what: str) -> None:
    """A block whose checksum is wrong, in the file or in the log that a death left."""
    service = await world.start()
    aside = world.catalog.with_suffix(".aside")
    shutil.copy(world.catalog, aside)
    shutil.copy(f"{world.catalog}.wal", f"{aside}.wal")
    await service.stop()
    damaged = aside if what == "file" else Path(f"{aside}.wal")
    content = bytearray(damaged.read_bytes())
    # In the log within a text: a length that is wrong would look like a write that a death cut off.
    for position in range(4200 if what == "file" else content.index(b"alice@"), len(content), 4096):
        content[position] ^= 0xFF
    damaged.write_bytes(content)
    world.catalog = aside
    with pytest.raises(CatalogUnusable, match="restore the catalog from a backup"):
        await world.start()


async def test_a_row_whose_checkpoint_failed_is_not_in_the_log_and_is_not_there_twice_later(
    service: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A pending row is written again, so it must not have been committed. DuckDB could do it the other way round."""
    service.file("a.jsonl")
    wal = Path(f"{service.catalog}.wal")
    await service.sql("CREATE TABLE filler AS SELECT range AS n, hash(range) AS h FROM range(100000)")
    await service.sql("CREATE TABLE texts (text VARCHAR)")
    await service.sql("CHECKPOINT")
    while not wal.exists() or wal.stat().st_size < 1_650_000:  # from 2 MB on, less a row group, it is merged
        await service.sql("INSERT INTO texts VALUES ($1)", [os.urandom(20_000).hex()])
    complete = 0
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_200_000, limits[1]))
    try:
        while "DuckDB gave up" not in caplog.text:
            with contextlib.suppress(aiohttp.ClientPayloadError):
                complete += (await service.get(DOWNLOAD)).status == 200
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "Failed to create checkpoint" in caplog.text
    await assert_up(service)
    outcomes = [row["result"] for row in await service.audit("session_download")]
    assert outcomes.count("success") == complete + 1


@pytest.mark.parametrize("gave_up", [False, True])
async def test_another_catalog_in_its_place_keeps_its_rows_and_so_does_the_old_one(
    service: World, gave_up: bool
) -> None:
    """Rows may stand in the `.wal` alone, and a checkpoint by the service would remove the one at its path."""
    service.file("a.jsonl")
    if gave_up:
        await break_fatally(service)
    else:
        await service.get(DOWNLOAD)
    aside, other = service.catalog.with_suffix(".aside"), service.catalog.with_suffix(".other")
    rows_in_wal(other)
    move(service.catalog, aside)
    move(other, service.catalog)
    await assert_down(service)
    await service.stop()
    with duckdb.connect(service.catalog) as opened:
        assert opened.execute("SELECT count(*) FROM rows_in_wal").fetchone() == (50,)
    with duckdb.connect(aside) as opened:
        (outcomes,) = opened.execute("SELECT count(*) FROM audit_log WHERE action = 'session_download'").fetchall()
        assert outcomes == (0 if gave_up else 1,)


def rows_in_wal(path: Path) -> None:
    with duckdb.connect(path) as other:
        other.execute("PRAGMA disable_checkpoint_on_shutdown")
        other.execute("CREATE TABLE rows_in_wal AS SELECT range AS n FROM range(50)")
    assert Path(f"{path}.wal").stat().st_size


def move(catalog: Path, target: Path) -> None:
    catalog.rename(target)
    wal = Path(f"{catalog}.wal")
    if wal.exists():
        wal.rename(f"{target}.wal")


async def test_a_stop_merges_all_rows_into_the_file(service: World) -> None:
    service.file("a.jsonl")
    await service.get(DOWNLOAD)
    assert Path(f"{service.catalog}.wal").exists()
    await service.stop()
    assert not Path(f"{service.catalog}.wal").exists()
    with duckdb.connect(service.catalog) as opened:
        assert opened.execute("SELECT count(*) FROM audit_log").fetchone() == (2,)


async def test_a_stop_on_a_full_disk_leaves_the_rows_to_the_next_start(
    world: World, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world.catalog = small_disk / "catalog.duckdb"
    service = await world.start()
    service.file("a.jsonl")
    await service.get(DOWNLOAD)
    filler = fill(small_disk)
    await service.stop()
    assert "closed with rows in its .wal, the next start reads them" in caplog.text
    filler.unlink()
    service = await world.start()
    assert len(await service.audit("session_download")) == 1


async def test_a_start_that_fails_leaves_the_catalog_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(_replica: Replica) -> None:
        raise CatalogError("no")

    monkeypatch.setattr(Replica, "register", failing)
    with pytest.raises(CatalogError, match="no"):
        await world.start()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("catalog")]
    assert subprocess.run([sys.executable, "-c", HOLD, world.catalog], input=b"", check=False).returncode == 0


@pytest.mark.parametrize("what", ["removed", "replaced"])
async def test_no_row_goes_into_a_file_that_nobody_will_find(
    service: World, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    """DuckDB itself goes on with the file that it has open, and all rows would be lost."""
    service.file("a.jsonl")
    aside = service.catalog.with_suffix(".aside")
    service.catalog.rename(aside)
    if what == "replaced":
        service.catalog.write_bytes(aside.read_bytes())
    await assert_down(service)
    assert "the file is gone or replaced; put it back, or restart" in caplog.text
    aside.rename(service.catalog)
    await assert_up(service)


@pytest.mark.parametrize("path", [EXPORT, DOWNLOAD])
@pytest.mark.parametrize("when", ["soon", "the end"])
async def test_an_outcome_that_could_not_be_written_comes_later(
    world: World, monkeypatch: pytest.MonkeyPatch, path: str, when: str
) -> None:
    """With the time at which it happened."""
    if when == "soon":
        monkeypatch.setattr("service.server.app.BEAT", 0.01)
    service = await world.start()
    service.file("a.jsonl", noise(20_000_000))
    aside = service.catalog.with_suffix(".aside")
    async with service.request(path) as response:
        await response.content.readexactly(1000)
        service.catalog.rename(aside)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    await service.app[TRANSFERS].idle()
    back = datetime.now(UTC).replace(tzinfo=None)
    aside.rename(service.catalog)
    if when == "soon":
        while not await service.audit("session%download"):
            await asyncio.sleep(0.001)
    else:
        await service.stop()
        service = await world.start()
    (row,) = await service.audit("session%download")
    assert row["timestamp"] < back
    assert row["result"] == "error", "not interrupted: the service knows how it ended"
    assert json.loads(row["params"])["bytes_sent"] > 1000


@pytest.mark.parametrize(
    "how", ["missing", "a file", "a link to nowhere", "permission denied", "input/output error", "stale"]
)
async def test_a_session_root_that_fails_while_the_service_runs(
    service: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """It may be a mount that fails: what the system says is given where the root is opened."""
    service.file("a.jsonl")
    errors = {
        "permission denied": PermissionError(13, how),
        "input/output error": OSError(5, how),
        "stale": OSError(116, how),
    }
    aside = service.root.with_suffix(".aside")
    with monkeypatch.context() as patched:
        if how in errors:
            real = os.open

            def refusing(target: object, *arguments: object, **keywords: object) -> int:
                if target == service.root:
                    raise errors[how]
                return real(target, *arguments, **keywords)  # type: ignore[arg-type]

            patched.setattr("service.store.local.os.open", refusing)
        else:
            service.root.rename(aside)
        if how == "a file":
            service.root.touch()
        elif how == "a link to nowhere":
            service.root.symlink_to("nowhere")
        for path in ("u-1/sessions", DOWNLOAD, EXPORT):
            assert_problem(await service.get(path), 503, "The session store does not answer.")
        assert_problem(await ready(service), 503, "Not answering: store.")
    assert str(service.root) in caplog.text or how in caplog.text
    if how not in errors:
        service.root.unlink(missing_ok=True)
        aside.rename(service.root)
    await assert_up(service)
    assert len(await service.audit("session%_started")) == 2, "none of what was refused"


async def test_the_catalog_is_not_closed_under_work_that_is_going_on(
    service: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What began before the failure ends before the file is opened again."""
    database = service.app[DATABASE]
    assert isinstance(database, DuckdbDatabase)
    begun, release, waits = threading.Event(), threading.Event(), threading.Event()
    changed = database._changed
    real = changed.wait

    def wait() -> bool:
        waits.set()
        return real()

    monkeypatch.setattr(changed, "wait", wait)

    def slow(cursor: Cursor) -> list[dict[str, object]]:
        begun.set()
        assert release.wait(30)
        return cursor.query("SELECT 1 AS one")

    holding = database.run(slow)
    while not begun.is_set():
        await asyncio.sleep(0.001)
    await break_fatally(service)
    healing = asyncio.create_task(ready(service))
    while not waits.is_set() and not healing.done():
        await asyncio.sleep(0.001)
    early = healing.done()
    release.set()
    assert not early
    with pytest.raises(CatalogError, match="invalidated"):
        await holding
    assert (await healing).status == 200
