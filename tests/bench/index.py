"""How fast a session file is read for the index: on one core, from memory, beside what only parses it."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from service.sessions.lines import FITTING
from service.sessions.transcript import Transcript
from tests.bench import table
from tests.bench.run import Run
from tests.bench.table import Table

BLOCK = 256 * 1024  # bytes, as the index reads


@dataclass(slots=True)
class Way:
    """A row: what is done to a file's bytes, and the seconds of processor time that all files took."""

    name: str
    read: Callable[[bytes], object]
    seconds: list[float] = field(default_factory=list)


def index(run: Run) -> Iterator[Table]:
    """One table."""
    corpus = run.corpora["a"]
    ways = [
        Way("`json`, line by line (baseline)", lambda data: [json.loads(line) for line in data.splitlines()]),
        Way("msgspec with the index's types alone", lambda data: [FITTING.decode(line) for line in data.splitlines()]),
        Way("**the index**", _facts),
    ]
    for number in range(run.runs):
        print(f"index, round {number + 1}", file=sys.stderr)
        for way in ways:
            way.seconds.append(_measure(way, corpus.files))
    yield Table(
        f"index: {len(corpus.files):,} sessions, {corpus.size / 1e6:.0f} MB",
        "Processor time, which other programs disturb less; the files are in memory.",
        ("way", "MB/s", "this / baseline"),
        [_row(way, ways[0], corpus.size) for way in ways],
    )


def _measure(way: Way, files: list[Path]) -> float:
    seconds = 0.0
    for file in files:
        data = file.read_bytes()
        began = time.process_time()
        way.read(data)
        seconds += time.process_time() - began
    return seconds


def _facts(data: bytes) -> object:
    transcript = Transcript()
    for start in range(0, len(data), BLOCK):
        transcript.feed(data[start : start + BLOCK])
    return transcript.finish()


def _row(way: Way, baseline: Way, size: int) -> list[str]:
    return [
        way.name,
        table.digits(size / 1e6 / median(way.seconds)),
        table.digits(median(baseline.seconds) / median(way.seconds)),
    ]
