"""A page of 50 from 100,000 sessions, of which the catalog knows nine in ten."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import table
from tests.bench.measure import Client
from tests.bench.run import Run
from tests.bench.servers import Server, rival, seeded, service, sessions_path
from tests.bench.table import Table

WARM = 10  # requests after each start


@dataclass(slots=True)
class Way:
    """A row: a server that can be started again and again, and the seconds that its requests took."""

    name: str
    start: Callable[[], AbstractContextManager[Server]]
    path: str
    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)


def listing(run: Run) -> Iterator[Table]:
    """One table."""
    corpus = run.corpora["tiny"]
    catalog = seeded(Path(tempfile.mkdtemp(dir=run.scratch)), [corpus])
    ways = [
        Way("all rows into Python (baseline)", lambda: rival("direct-list", run.scratch, corpus.path, catalog), "/"),
        Way(
            "**this service**",
            lambda: service(run.corpora, run.scratch, processed=[corpus]),
            f"{sessions_path(corpus)}?limit=50&offset=0",
        ),
    ]
    for number in range(run.runs):
        print(f"list, round {number + 1}", file=sys.stderr)
        pages = [_measure(way) for way in ways]
        if pages[0] != pages[1]:
            raise RuntimeError(f"the pages differ: {pages}")
    yield Table(
        f"list: 50 of {len(corpus.files):,} sessions",
        f"Cold is the first request of a server; warm the {WARM} that follow. All answer the same page.",
        ("way", "cold", "baseline / this", "warm", "baseline / this"),
        [_row(way, ways[0]) for way in ways],
    )


def _measure(way: Way) -> tuple[list[str], Any]:
    """Start the server and ask it; returns the names of the page and the pagination."""
    with way.start() as server:
        client = Client(server)
        seconds, body = client.get(way.path)
        way.cold.append(seconds)
        way.warm.extend(client.get(way.path)[0] for _ in range(WARM))
    page = json.loads(body)
    return [row["session_file"] for row in page["rows"]], page["pagination"]


def _row(way: Way, baseline: Way) -> list[str]:
    return [
        way.name,
        table.time(median(way.cold)),
        table.digits(median(baseline.cold) / median(way.cold)),
        table.time(median(way.warm)),
        table.digits(median(baseline.warm) / median(way.warm)),
    ]
