"""A catalog of a million audit rows beside an empty one: how soon the service is ready, and how fast it is read."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from service.catalog import AuditLog, Event, Replica, Result, open_catalog
from service.catalog.actions import EXPORT
from service.config import Catalog
from service.pools import Pool
from tests.bench import table
from tests.bench.measure import Client
from tests.bench.run import Run
from tests.bench.servers import REPOSITORY, seeded, service
from tests.bench.table import Table

ROWS = 1_000_000
WARM = 20  # pages after each start
# Pairs of started and ended exports, 7 s apart, by 20 admins and the benchmark's own.
ADD_AUDIT = """
    INSERT INTO audit_log (id, timestamp, user_id, action, resource, params, result, duration_ms, client_ip,
                           client_kind, correlation_id)
    SELECT md5(concat('row', n)), TIMESTAMP '2026-01-01' + to_seconds(7 * n),
        CASE WHEN n // 2 % 2 = 0 THEN 'bench-admin' ELSE concat('admin', n // 2 % 20) END,
        concat('session_bulk_download', CASE WHEN n % 2 = 0 THEN '_started' ELSE '' END),
        concat('users/u-', n // 2 % 5000, '/sessions'),
        json_object('username', concat('user', n // 2 % 5000), 'file_count', 200, 'total_bytes', 281000000,
                    'skipped', 0, 'bytes_sent', 73000000 + n),
        CASE WHEN n % 2 = 0 THEN 'started' ELSE 'success' END, CASE WHEN n % 2 = 0 THEN NULL ELSE 700 END,
        '10.0.0.1', 'curl', md5(concat('request', n // 2))
    FROM range($1) AS numbers(n)
"""
# A program that writes rows as the service does, and dies with as many as DuckDB leaves outside the file at most.
DIE = """
import asyncio, sys
from pathlib import Path
from tests.bench.catalog import write_until_killed
asyncio.run(write_until_killed(Path(sys.argv[1])))
"""


@dataclass(slots=True)
class Way:
    """A row."""

    name: str
    catalog: Path
    user: str = "bench-admin"
    ready: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    pages: list[float] = field(default_factory=list)


def catalog(run: Run) -> Iterator[Table]:
    """One table."""
    home = Path(tempfile.mkdtemp(dir=run.scratch))
    ways = [
        Way("empty", filled(home / "empty", 0), user="a"),
        Way("100 audit rows", filled(home / "small", 100)),
        Way(f"{ROWS:,} audit rows", filled(home / "full", ROWS)),
        Way(f"{ROWS:,} audit rows, after kill -9", home / "killed.duckdb"),
    ]
    left = _killed(ways[-2].catalog, ways[-1].catalog)
    for number in range(run.runs):
        print(f"catalog, round {number + 1}", file=sys.stderr)
        for way in ways:
            _measure(run, way)
    yield Table(
        "catalog: a million audit rows",
        "Ready is from the start of the process to `GET /readyz` 200; pages are `GET …/activity`, 50 rows, of a user "
        f"who has half of all: the first of each start, then the {WARM} that follow. The killed one left {left:,} "
        "bytes outside its file.",
        ("catalog", "ready", "first page", "page", "page / empty"),
        [_row(way, ways[0]) for way in ways],
    )


def filled(directory: Path, rows: int) -> Path:
    """A catalog with so many audit rows."""
    directory.mkdir()
    path = seeded(directory, [])
    asyncio.run(_fill(path, rows))
    return path


async def _fill(path: Path, rows: int) -> None:
    pool = Pool("catalog", 1)
    database = await open_catalog(Catalog(url=str(path), memory_limit="1GB"), pool)
    await database.query(ADD_AUDIT, [rows])
    database.close()


async def write_until_killed(path: Path) -> None:
    """Add pairs of rows, some without an end, until the file's log is about to be merged into it (at 1.7 MB)."""
    pool = Pool("catalog", 1)
    database = await open_catalog(Catalog(url=str(path)), pool)
    replica, log = Replica(database, AuditLog(database)), path.with_name(f"{path.name}.wal")
    await replica.register()
    params = {"username": "alice", "file_count": 200, "total_bytes": 281_000_000}
    number = 0
    while not log.exists() or log.stat().st_size < 1_600_000:
        started, ended = (
            Event("admin1", EXPORT, "users/u-1/sessions", params, result, f"killed-{number}")
            for result in (Result.STARTED, Result.SUCCESS)
        )
        await replica.begin(started)
        if number % 100:
            await replica.end(started.id, [ended])
        number += 1
    os.kill(os.getpid(), signal.SIGKILL)


def _killed(full: Path, copy: Path) -> int:
    """The full catalog as a process leaves it that was killed; the bytes of its log."""
    shutil.copy(full, copy)
    subprocess.run([sys.executable, "-c", DIE, str(copy)], cwd=REPOSITORY, check=False)
    return copy.with_name(f"{copy.name}.wal").stat().st_size


@contextmanager
def _copied(run: Run, path: Path) -> Iterator[Path]:
    """A copy, as each start mends what a kill left behind."""
    with tempfile.TemporaryDirectory(dir=run.scratch) as name:
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copy(file, name)
        yield Path(name) / path.name


def _measure(run: Run, way: Way) -> None:
    run.corpora.root.mkdir(parents=True, exist_ok=True)
    with _copied(run, way.catalog) as path:
        os.sync()
        began = time.perf_counter()
        with service(run.corpora, run.scratch, catalog=path) as server:
            _wait_until_ready(server.port)
            way.ready.append(time.perf_counter() - began)
            client = Client(server)
            _, *times = [client.get(address)[0] for address in _pages(way.user)]
            way.first.append(times[0])
            way.pages.extend(times[1:])


def _pages(user: str) -> list[str]:
    """Health first, so that what every first request costs does not count."""
    return ["/healthz", *[f"/api/admin/users/{user}/activity"] * (1 + WARM)]


def _wait_until_ready(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/readyz")
    if connection.getresponse().status != 200:
        raise RuntimeError("not ready")


def _row(way: Way, empty: Way) -> list[str]:
    return [
        way.name,
        table.time(median(way.ready)),
        table.time(median(way.first)),
        table.time(median(way.pages)),
        table.digits(median(way.pages) / median(empty.pages)),
    ]
