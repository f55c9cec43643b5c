"""The client beside curl: the same export from the same server, saved; the client's is verified by then as well."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from service.client import Client
from tests.bench import table
from tests.bench.corpora import Corpus
from tests.bench.measure import download, is_whole
from tests.bench.run import Run
from tests.bench.servers import REPOSITORY, Server, service, sessions_path
from tests.bench.table import Table

CURL = "curl (baseline)"


@dataclass(slots=True)
class Way:
    """A row: `take` exports once, in so many seconds."""

    name: str
    verified: str
    take: Callable[[], float]
    times: list[float] = field(default_factory=list)


def client(run: Run) -> Iterator[Table]:
    """A table for each corpus, and one of 280 MB where neither side takes the other's core."""
    yield _table(run, run.corpora["a"])
    yield _table(run, run.corpora["b"])
    yield _table(run, run.corpora["a"], apart=True)


def _table(run: Run, corpus: Corpus, *, apart: bool = False) -> Table:
    with service(run.corpora, run.scratch) as server, _a_core_each(server) if apart else nullcontext():
        ways = _ways(server, corpus, run.scratch / "client")
        for number in range(run.runs):
            for way in ways:
                print(f"client, {corpus.user_id}, round {number + 1}: {way.name}", file=sys.stderr)
                os.sync()  # so that writing back what the way before left behind does not count here
                way.times.append(way.take())
                shutil.rmtree(run.scratch / "client", ignore_errors=True)
        return Table(
            f"client: {len(corpus.files):,} sessions, {table.size(corpus.size)}{', a core each' if apart else ''}",
            "Seconds of the transfer, without the start of the program but for the last two rows.",
            ("way", "time", "curl / this", "verified"),
            [_row(way, median(ways[0].times)) for way in ways],
        )


@contextmanager
def _a_core_each(server: Server) -> Iterator[None]:
    """The server on one core, this process and its clients on another."""
    cores = os.sched_getaffinity(0)
    first, *others = sorted(cores)
    for thread in Path(f"/proc/{server.pid}/task").iterdir():  # those to come inherit it
        os.sched_setaffinity(int(thread.name), {first})
    os.sched_setaffinity(0, others[:1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _ways(server: Server, corpus: Corpus, out: Path) -> list[Way]:
    path = f"{sessions_path(corpus)}/download-all"
    archive = out / "out.zip"

    def curl() -> float:
        out.mkdir()
        result = download(server, path, archive)
        if not result.complete:
            raise RuntimeError(f"curl: {result}")
        return result.seconds

    def curl_and_unzip() -> float:
        began = time.perf_counter()
        curl()
        if not is_whole(archive):
            raise RuntimeError("curl: not a whole archive")
        return time.perf_counter() - began

    def command() -> float:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "service", "export", "--user", corpus.user_id, "--url", server.url(), "--to", out],
            cwd=REPOSITORY,
            env=os.environ | {"SESSION_EXPORT_TOKEN": server.token},
            check=True,
            capture_output=True,
        )
        return time.perf_counter() - began

    return [
        Way(CURL, "no", curl),
        Way("**`Client.export`**", "yes", lambda: asyncio.run(_take(server, corpus.user_id, archive, "export"))),
        Way("`Client.extract`", "yes", lambda: asyncio.run(_take(server, corpus.user_id, out, "extract"))),
        Way("`curl`, then `unzip -tq`", "yes", curl_and_unzip),
        Way("`session-export export`", "yes", command),
    ]


async def _take(server: Server, user_id: str, path: Path, how: str) -> float:
    async with Client(server.url(), server.token) as client:
        take = client.export if how == "export" else client.extract
        return (await take(user_id, path)).seconds


def _row(way: Way, baseline: float) -> list[str]:
    seconds = median(way.times)
    return [way.name, table.time(seconds), table.digits(baseline / seconds), way.verified]
