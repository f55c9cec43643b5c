"""The download of one large file."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from tests.bench import table
from tests.bench.corpora import Corpus
from tests.bench.measure import Client, PeakMemory, download
from tests.bench.run import Run
from tests.bench.servers import Server, nginx, rival, service, sessions_path
from tests.bench.table import Table

NGINX = "nginx, `sendfile` (baseline)"


@dataclass(slots=True)
class Way:
    """A row: where the file is downloaded from, and the seconds it took."""

    name: str
    server: Server
    path: str
    memory: PeakMemory
    times: list[float] = field(default_factory=list)


def single(run: Run) -> Iterator[Table]:
    """One table."""
    corpus = run.corpora["single"]
    with ExitStack() as stack:
        ways = _ways(run, corpus, stack)
        for number in range(run.runs):
            for way in ways:
                print(f"single file, round {number + 1}: {way.name}", file=sys.stderr)
                result = download(way.server, way.path)
                if not result.complete or result.size != corpus.size:
                    raise RuntimeError(f"{way.name}: {result}")
                way.times.append(result.seconds)
        yield Table(
            f"single file of {table.size(corpus.size)}",
            "Memory is the server's peak above idle.",
            ("way", "time", "GB/s", "baseline / this", "memory"),
            _rows(ways, corpus.size),
        )


def _ways(run: Run, corpus: Corpus, stack: ExitStack) -> list[Way]:
    [file] = corpus.files
    ours = stack.enter_context(service(run.corpora, run.scratch))
    Client(ours).get(sessions_path(corpus))
    response = stack.enter_context(rival("file-response", run.scratch, file))
    ways = [
        Way("aiohttp's `FileResponse`", response, "/", PeakMemory(response)),
        Way("**this service**", ours, f"{sessions_path(corpus)}/{file.name}/download", PeakMemory(ours)),
    ]
    try:
        best = stack.enter_context(nginx(corpus.path, run.scratch))
    except FileNotFoundError:
        return ways
    return [Way(NGINX, best, f"/{file.name}", PeakMemory(best)), *ways]


def _rows(ways: list[Way], size: int) -> list[list[str]]:
    baseline = median(ways[0].times) if ways[0].name == NGINX else None
    missing = [] if baseline else [[NGINX, "not installed here", *[table.NOTHING] * 3]]
    return missing + [_row(way, size, baseline) for way in ways]


def _row(way: Way, size: int, baseline: float | None) -> list[str]:
    seconds = median(way.times)
    return [
        way.name,
        table.time(seconds),
        table.digits(size / 1e9 / seconds),
        table.digits(baseline / seconds) if baseline else table.NOTHING,
        table.size(way.memory.above_idle()),
    ]
