"""Exports beside the index: of a service whose index reads 2 GB meanwhile, and of one without an index."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from json import loads
from pathlib import Path
from statistics import median

from tests.bench import table
from tests.bench.corpora import SHAPES, Corpora, Corpus
from tests.bench.measure import Client, download, processor_time
from tests.bench.run import Run
from tests.bench.servers import Server, service, sessions_path
from tests.bench.table import Table

PAIRS = 11  # exports of each service, in turn


@dataclass(slots=True)
class Way:
    """A row: a service, and the seconds and the processor time of each of its exports."""

    name: str
    server: Server
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


def beside(run: Run) -> Iterator[Table]:
    """One table. A service is stopped (SIGSTOP) while another exports, so that its index reads only beside its own
    exports. The second service without an index shows how much the figures scatter."""
    root, exported = _linked(run)
    ways: list[Way] = []
    with ExitStack() as stack:
        for name, enabled in (("no index", False), ("no index, again", False), ("**the index reads**", True)):
            index: dict[str, object] = {"enabled": enabled, "interval": 3600}
            server = stack.enter_context(service(Corpora(root, 1), run.scratch, index=index))
            stack.callback(os.kill, server.pid, signal.SIGCONT)
            ways.append(Way(name, server))
            _export(ways[-1], exported)  # reads code and catalog; not counted
            os.kill(server.pid, signal.SIGSTOP)
        for way in ways:
            way.seconds.clear()
            way.processor.clear()
        for number in range(PAIRS * run.runs):
            print(f"beside the index, round {number + 1}", file=sys.stderr)
            for way in ways if number % 2 else reversed(ways):
                with _continued(way.server):
                    _export(way, exported)
        _check_unfinished(ways[-1].server, exported)
    yield Table(
        f"exports of {exported.size / 1e6:.0f} MB beside the index",
        f"{PAIRS * run.runs} exports of each service, in turn; medians, and of the rounds' ratios. The index has to "
        f"read {exported.size * len(SHAPES) / 1e9:.1f} GB, and is not done at the end.",
        ("service", "time", "this / no index", "processor", "this / no index"),
        [_row(way, ways[0]) for way in ways],
    )


def _linked(run: Run) -> tuple[Path, Corpus]:
    """A session root in which every user has the same files, and the user whose files are exported."""
    root = Path(tempfile.mkdtemp(dir=run.scratch))
    for name in SHAPES:
        shutil.copytree(run.corpora["a"].path, root / name, copy_function=os.link)
    return root, Corpus(root / "a")


@contextmanager
def _continued(server: Server) -> Iterator[None]:
    os.kill(server.pid, signal.SIGCONT)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGSTOP)


def _export(way: Way, corpus: Corpus) -> None:
    before = processor_time(way.server)
    done = download(way.server, f"{sessions_path(corpus)}/download-all")
    if not done.complete:
        raise RuntimeError(f"{way.name}: the export is not complete")
    way.seconds.append(done.seconds)
    way.processor.append(processor_time(way.server) - before)


def _check_unfinished(server: Server, exported: Corpus) -> None:
    """Raises RuntimeError if the index has read all files, so that it was not busy beside the last exports."""
    last = Corpus(exported.path.with_name(max(SHAPES)))  # the index reads user by user, sorted by id
    with _continued(server):
        _, body = Client(server).get(f"{sessions_path(last)}?limit=1&offset={len(last.files) - 1}")
    if loads(body)["rows"][0]["processed"]:  # the list ends with those that were not read
        raise RuntimeError("the index was done before the last export")


def _row(way: Way, base: Way) -> list[str]:
    return [
        way.name,
        table.time(median(way.seconds)),
        _ratio(way.seconds, base.seconds),
        table.time(median(way.processor)),
        _ratio(way.processor, base.processor),
    ]


def _ratio(values: list[float], base: list[float]) -> str:
    return table.digits(median(value / beside for value, beside in zip(values, base, strict=True)))
