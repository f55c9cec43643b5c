"""Exports of many sessions: the whole ZIP, by this service and by every other way."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench import table
from tests.bench.corpora import Corpus
from tests.bench.measure import Client, PeakMemory, download, is_whole
from tests.bench.run import Run
from tests.bench.servers import REPOSITORY, Server, rival, service, sessions_path
from tests.bench.table import Table

BASELINE = "`zipfile` in memory, zlib 6 (baseline)"
LIMIT = "limit: igzip 2 in a thread a core, no ZIP, no HTTP"
COLUMNS = (
    "way",
    "time",
    "baseline / this",
    "this / limit",
    "first byte",
    "MB/s",
    "size",
    "compression",
    "memory",
    "`unzip -tq`",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One export: seconds, bytes, and whether what came is a whole archive; None where a way has no such thing."""

    seconds: float
    size: int
    first_byte: float | None = None
    whole: bool | None = None


@dataclass(slots=True)
class Way:
    """A row: `take` exports once."""

    name: str
    take: Callable[[], Sample]
    memory: PeakMemory | None = None
    rounds: int = sys.maxsize
    samples: list[Sample] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return median(sample.seconds for sample in self.samples)

    @property
    def first_byte(self) -> str:
        times = [sample.first_byte for sample in self.samples if sample.first_byte is not None]
        return table.time(median(times)) if times else table.NOTHING

    @property
    def verdict(self) -> str:
        if self.samples[0].whole is None:
            return table.NOTHING
        return "ok" if all(sample.whole for sample in self.samples) else "failed"


def exports(run: Run) -> Iterator[Table]:
    """A table for each corpus."""
    yield _table(run, run.corpora["a"])
    yield _table(run, run.corpora["b"])


def _table(run: Run, corpus: Corpus) -> Table:
    with ExitStack() as stack:
        ways = _ways(run, corpus, stack)
        for number in range(run.runs):
            for way in ways:
                if number < way.rounds:
                    print(f"exports of {corpus.user_id}, round {number + 1}: {way.name}", file=sys.stderr)
                    way.samples.append(way.take())
        baseline, limit = ways[0].seconds, ways[-1].seconds
        return Table(
            f"exports: {len(corpus.files):,} sessions, {table.size(corpus.size)}",
            "Time of the whole export with curl; first byte of the response; memory is the server's peak above idle.",
            COLUMNS,
            [_row(way, corpus, baseline, limit) for way in ways],
        )


def _ways(run: Run, corpus: Corpus, stack: ExitStack) -> list[Way]:
    """Each with a server of its own, so that each has its own memory."""
    archive = run.scratch / "export.zip"

    def other(name: str, way: str, rounds: int = sys.maxsize) -> Way:
        server = stack.enter_context(rival(way, run.scratch, corpus.path))
        return Way(name, lambda: _export(server, "/", archive), PeakMemory(server), rounds)

    def ours(compression: str) -> Way:
        server = stack.enter_context(service(run.corpora, run.scratch))
        path = f"{sessions_path(corpus)}/download-all?compression={compression}"
        Client(server).get(f"{sessions_path(corpus)}?limit=1")  # idle is what has served before
        return Way(f"**this service, `{compression}`**", lambda: _export(server, path, archive), PeakMemory(server))

    return [
        other(BASELINE, "zipfile"),
        other("`async_stream_zip`, aiofiles, zlib 9 (1 run)", "stream-zip", rounds=1),
        other("zipstream-ng, zlib 6", "zipstream-ng"),
        *map(ours, ("fast", "small", "store")),
        Way(LIMIT, lambda: _limit(corpus)),
    ]


def _export(server: Server, path: str, archive: Path) -> Sample:
    os.sync()  # so that writing back what the way before left behind does not count here
    result = download(server, path, archive)
    whole = result.complete and is_whole(archive)
    archive.unlink(missing_ok=True)
    return Sample(result.seconds, result.size, result.first_byte, whole)


def _limit(corpus: Corpus) -> Sample:
    command = [sys.executable, "-m", "tests.bench.limit", str(corpus.path.absolute())]
    output = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    seconds, size = output.split()
    return Sample(float(seconds), int(size))


def _row(way: Way, corpus: Corpus, baseline: float, limit: float) -> list[str]:
    size = way.samples[-1].size
    return [
        way.name,
        table.time(way.seconds),
        table.digits(baseline / way.seconds),
        table.digits(way.seconds / limit),
        way.first_byte,
        table.digits(corpus.size / 1e6 / way.seconds),
        table.size(size),
        table.digits(corpus.size / size) if size else table.NOTHING,
        table.size(way.memory.above_idle()) if way.memory else table.NOTHING,
        way.verdict,
    ]
