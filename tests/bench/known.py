"""Exports whose length is known from earlier ones, beside first exports: the whole, a range, and with a manifest."""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from tests.bench import table
from tests.bench.corpora import Corpus
from tests.bench.first_byte import BREATH
from tests.bench.measure import Client, download, processor_time
from tests.bench.run import Run
from tests.bench.servers import Server, rival, service, sessions_path
from tests.bench.table import Table

BASELINE = "`zipfile` in memory, zlib 6 (baseline)"
FIRST, KNOWN = "first export, of unknown length", "**length known**"
FIRST_PROOF, KNOWN_PROOF = "first export, with manifest", "**length known, with manifest**"
RANGE = "range at 90 %, length known"


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds: of the whole request, of the server's processor, and until the response began."""

    seconds: float
    processor: float
    first_byte: float


def known(run: Run) -> Iterator[Table]:
    """A table for each corpus."""
    yield _table(run, run.corpora["a"])
    yield _table(run, run.corpora["b"])


def _table(run: Run, corpus: Corpus) -> Table:
    samples: dict[str, list[Sample]] = {}
    with (
        rival("zipfile", run.scratch, corpus.path) as baseline,
        service(run.corpora, run.scratch, index={"enabled": False}) as server,
    ):
        for number in range(run.runs):
            print(f"known exports of {corpus.user_id}, round {number + 1}", file=sys.stderr)
            for way, sample in _round(baseline, server, corpus):
                samples.setdefault(way, []).append(sample)
    return Table(
        f"known exports: {len(corpus.files):,} sessions, {table.size(corpus.size)}",
        "Before each first export all files get another modification time, so that nothing is known of them. The "
        "index is off, as it would read them again meanwhile. Of the range, the client takes 1 KB.",
        ("way", "time", "baseline / this", "processor", "processor / first", "first byte"),
        [_row(way, samples) for way in samples],
    )


def _round(baseline: Server, server: Server, corpus: Corpus) -> Iterator[tuple[str, Sample]]:
    path = f"{sessions_path(corpus)}/download-all"
    yield BASELINE, _sample(baseline, "/")
    _touch(corpus)
    yield FIRST, _sample(server, path)
    yield KNOWN, _sample(server, path)
    yield RANGE, _range(server, path)
    _touch(corpus)
    yield FIRST_PROOF, _sample(server, f"{path}?manifest=true")
    yield KNOWN_PROOF, _sample(server, f"{path}?manifest=true")


def _touch(corpus: Corpus) -> None:
    """Make all files other versions, last changed an hour ago."""
    hour_ago = time.time_ns() - 3600 * 10**9
    for file in corpus.files:
        os.utime(file, ns=(hour_ago, hour_ago))


def _sample(server: Server, path: str) -> Sample:
    before = processor_time(server)
    result = download(server, path)
    if not result.complete:
        raise RuntimeError("an export failed")
    return Sample(result.seconds, processor_time(server) - before, result.first_byte)


def _range(server: Server, path: str) -> Sample:
    client = Client(server)
    headers = client.head(path).headers
    start = int(headers["Content-Length"]) * 9 // 10
    before = processor_time(server)
    head, body = client.begin(headers["Content-Location"], Range=f"bytes={start}-")
    time.sleep(BREATH)
    return Sample(body, processor_time(server) - before, head)


def _row(way: str, samples: dict[str, list[Sample]]) -> list[str]:
    baseline, first, this = samples[BASELINE], samples[FIRST], samples[way]
    whole = way not in (BASELINE, RANGE)
    return [
        way,
        table.time(median(sample.seconds for sample in this)),
        table.digits(_ratio(baseline, this)) if whole else table.NOTHING,
        table.time(median(sample.processor for sample in this)),
        table.digits(median(one.processor / other.processor for one, other in zip(this, first, strict=True)))
        if whole
        else table.NOTHING,
        table.time(median(sample.first_byte for sample in this)),
    ]


def _ratio(these: list[Sample], others: list[Sample]) -> float:
    return median(sample.seconds for sample in these) / median(sample.seconds for sample in others)
