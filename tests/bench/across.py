"""An export across many users: how soon it begins, and how much memory it takes."""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from uuid import UUID

from service.catalog import open_catalog
from service.config import Catalog
from service.pools import Pool
from tests.bench import table
from tests.bench.measure import Client, PeakMemory, download, processor_time
from tests.bench.run import Run
from tests.bench.search import ADD_USERS
from tests.bench.servers import Server, service
from tests.bench.table import Table

USERS, SESSIONS = 10_000, 10
SAVING = 3  # seconds after an export in which its figures are saved
FIRST, KNOWN, RESTARTED = "first export, of unknown length", "length known", "length known, after a restart"


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds until the response began and until it ended, seconds of the server's processor, and bytes of memory."""

    first_byte: float
    seconds: float
    processor: float
    memory: int


def across(run: Run) -> Iterator[Table]:
    """One table."""
    root = run.scratch / "across"
    print("across: making users ...", file=sys.stderr)
    _make(root)
    samples: dict[str, list[Sample]] = {}
    for number in range(run.runs):
        print(f"export across users, round {number + 1}", file=sys.stderr)
        for way, sample in _round(run, root):
            samples.setdefault(way, []).append(sample)
    shutil.rmtree(root)
    yield Table(
        f"export of {USERS:,} users with {SESSIONS} sessions each",
        "Sessions of 1 KB. Memory is the server's peak above idle until the figures are saved. Idle is what has listed "
        "the users before; before the second export it holds the figures of the first.",
        ("export", "first byte", "time", "processor", "memory"),
        [
            [
                way,
                table.time(median(sample.first_byte for sample in of_way)),
                table.time(median(sample.seconds for sample in of_way)),
                table.time(median(sample.processor for sample in of_way)),
                table.size(median(sample.memory for sample in of_way)),
            ]
            for way, of_way in samples.items()
        ],
    )


def _round(run: Run, root: Path) -> Iterator[tuple[str, Sample]]:
    catalog = Path(tempfile.mkdtemp(dir=run.scratch)) / "catalog.duckdb"
    asyncio.run(_add_users(catalog))
    with _serving(run, root, catalog) as server:
        yield FIRST, _sample(server)
        yield KNOWN, _sample(server)
    with _serving(run, root, catalog) as server:
        yield RESTARTED, _sample(server)


def _serving(run: Run, root: Path, catalog: Path) -> AbstractContextManager[Server]:
    return service(run.corpora, run.scratch, catalog=catalog, storage={"root": str(root)}, index={"enabled": False})


def _sample(server: Server) -> Sample:
    Client(server).get("/api/admin/unassigned?limit=1")
    memory, before = PeakMemory(server), processor_time(server)
    result = download(server, "/api/admin/sessions/download-all")
    if not result.complete:
        raise RuntimeError("an export failed")
    processor = processor_time(server) - before
    time.sleep(SAVING)
    return Sample(result.first_byte, result.seconds, processor, memory.above_idle())


def _make(root: Path) -> None:
    """A directory for each user, as ADD_USERS names them."""
    chance = Random("across")
    for number in range(USERS):
        directory = root / f"u-{number}"
        directory.mkdir(parents=True)
        for _ in range(SESSIONS):
            session_id = UUID(int=chance.getrandbits(128))
            line = f'{{"type": "summary", "sessionId": "{session_id}", "summary": "{chance.getrandbits(1500):x}"}}\n'
            (directory / f"{session_id}.jsonl").write_text(line * 2)


async def _add_users(path: Path) -> None:
    database = await open_catalog(Catalog(url=str(path), memory_limit="1GB"), Pool("catalog", 1))
    await database.query(ADD_USERS, [USERS])
    database.close()
