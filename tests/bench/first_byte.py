"""How soon an export begins, however large it is."""

import sys
import time
from collections.abc import Iterator
from statistics import median

from tests.bench import table
from tests.bench.measure import Client, PeakMemory, download
from tests.bench.run import Run
from tests.bench.servers import service, sessions_path
from tests.bench.table import Table

CORPORA = {"five": "5 MB", "a": "280 MB", "sparse3": "3 GB, one sparse file", "tiny": "100,000 files"}
BREATH = 0.3  # seconds for the server to notice that the client is gone


def first_byte(run: Run) -> Iterator[Table]:
    """One table."""
    paths = {name: f"{sessions_path(run.corpora[name])}/download-all" for name in CORPORA}
    begins: dict[str, list[tuple[float, float]]] = {name: [] for name in CORPORA}
    with service(run.corpora, run.scratch) as server:
        client = Client(server)
        for number in range(run.runs):
            for name, path in paths.items():
                print(f"first byte of {name}, round {number + 1}", file=sys.stderr)
                begins[name].append(client.begin(path))
                time.sleep(BREATH)
    with service(run.corpora, run.scratch) as server:
        Client(server).get(f"{sessions_path(run.corpora['five'])}?limit=1")
        memory = PeakMemory(server)
        complete = download(server, paths["sparse3"]).complete
        peak = table.size(memory.above_idle()) if complete else "failed"
    yield Table(
        "first byte of an export",
        "The client hangs up after the first KB; memory is the peak above idle of a whole export.",
        ("export", "first byte of the response", "first byte of the archive", "memory"),
        [
            [
                label,
                table.time(median(head for head, _ in begins[name])),
                table.time(median(body for _, body in begins[name])),
                peak if name == "sparse3" else table.NOTHING,
            ]
            for name, label in CORPORA.items()
        ],
    )
