"""How much memory exports take: one that is huge, and many at once."""

import sys
from collections.abc import Iterator

from tests.bench import table
from tests.bench.measure import Client, Download, PeakMemory, curl, downloads
from tests.bench.run import Run
from tests.bench.servers import service, sessions_path
from tests.bench.table import Table

MANY = 32


def memory(run: Run) -> Iterator[Table]:
    """One table."""
    yield Table(
        "memory of exports",
        "Peak above idle: the worst of all runs, each on a server that was started for it.",
        ("exports", "memory", "slowest", "complete"),
        [
            _row(run, "one of 8 GB (sparse)", "sparse8", 1, 8),
            _row(run, f"{MANY} of 280 MB at once", "a", MANY, MANY),
            _row(run, f"{MANY} of 280 MB asked for at once, 8 at once let in", "a", MANY, 8),
        ],
    )


def _row(run: Run, label: str, name: str, clients: int, max_concurrent: int) -> list[str]:
    found = []
    for number in range(run.runs):
        print(f"memory of exports: {label}, round {number + 1}", file=sys.stderr)
        found.append(_measured(run, name, clients, max_concurrent))
    results = [result for _, results in found for result in results]
    return [
        label,
        table.size(max(peak for peak, _ in found)),
        table.time(max(result.seconds for result in results)),
        f"{sum(result.complete for result in results)} of {len(results)}",
    ]


def _measured(run: Run, name: str, clients: int, max_concurrent: int) -> tuple[int, list[Download]]:
    """The peak above idle in bytes, and how the clients fared."""
    path = sessions_path(run.corpora[name])
    with service(run.corpora, run.scratch, max_concurrent=max_concurrent) as server:
        Client(server).get(f"{path}?limit=1")
        peak = PeakMemory(server)
        results = downloads([curl(server, f"{path}/download-all") for _ in range(clients)])
        return peak.above_idle(), results
