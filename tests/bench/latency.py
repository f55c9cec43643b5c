"""How long small requests take while exports keep every core busy."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from tests.bench import table
from tests.bench.measure import Client, Download, curl, percentile
from tests.bench.run import Run
from tests.bench.servers import Server, service, sessions_path
from tests.bench.table import Table

EXPORTS = 16
REQUESTS = 300
RAMP = 1.0  # seconds until all exports are under way

Times = list[list[float]]  # seconds, a list for each run


def latency(run: Run) -> Iterator[Table]:
    """One table."""
    small = run.corpora["small"]
    export = f"{sessions_path(run.corpora['a'])}/download-all"
    paths = {"`GET /healthz`": "/healthz", "session list": sessions_path(small)}
    with service(run.corpora, run.scratch, processed=[small], max_concurrent=EXPORTS) as server:
        idle = _times(run, server, paths)
        with _exporting(server, export, run.scratch) as exports:
            busy = _times(run, server, paths)
    yield Table(
        f"latency while {EXPORTS} exports run",
        f"{REQUESTS} requests, one after the other; {len(exports)} exports of 280 MB ended meanwhile.",
        ("request", "server", "median", "99th percentile", "longest"),
        [_row(path, state, times[path]) for path in paths for state, times in (("idle", idle), ("exporting", busy))],
    )


def _times(run: Run, server: Server, paths: dict[str, str]) -> dict[str, Times]:
    client = Client(server)
    times: dict[str, Times] = {label: [] for label in paths}
    for number in range(run.runs):
        for label, path in paths.items():
            print(f"latency of {label}, round {number + 1}", file=sys.stderr)
            times[label].append([client.get(path)[0] for _ in range(REQUESTS)])
    return times


@contextmanager
def _exporting(server: Server, path: str, scratch: Path) -> Iterator[list[Download]]:
    """Exports that begin anew as soon as they end; when the block ends, the list has those that did."""
    ended: list[Download] = []
    with ExitStack() as stack:
        reports = [stack.enter_context(tempfile.TemporaryFile("w+", dir=scratch)) for _ in range(EXPORTS)]
        clients = [curl(server, f"{path}#[1-1000000]", report=report) for report in reports]
        try:
            time.sleep(RAMP)
            yield ended
        finally:
            for client in clients:
                client.kill()
                client.wait()
        for report in reports:
            report.seek(0)
            ended.extend(Download.parse(line) for line in report if line.endswith("\n"))
    if not all(download.complete for download in ended):
        raise RuntimeError("an export failed while latency was measured")


def _row(label: str, state: str, runs: Times) -> list[str]:
    return [
        label,
        state,
        table.time(median(percentile(times, 50) for times in runs)),
        table.time(median(percentile(times, 99) for times in runs)),
        table.time(max(map(max, runs))),
    ]
