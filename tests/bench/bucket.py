"""Exports and a download from a bucket whose requests take 20 ms, and from the local directory beside it; how soon an
export begins on PostgreSQL and a bucket.

The bucket is tests/bucket.py, in a process of its own: moto's server takes 2 ms of processor time for a request.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from tests.bench import table
from tests.bench.corpora import Corpus
from tests.bench.first_byte import BREATH
from tests.bench.measure import Client, PeakMemory, curl, download, downloads, is_whole
from tests.bench.run import Run
from tests.bench.servers import Server, free_port, nginx, seed, service, sessions_path, started
from tests.bench.table import Table
from tests.postgres import Postgres
from tests.s3 import CREDENTIALS

LATENCY = 20  # milliseconds
FIRST_BYTES = 10  # exports that are begun in each round
ONE_BY_ONE = 200  # objects that are read one after the other, for the comparison


def bucket(run: Run) -> Iterator[Table]:
    """Three tables."""
    os.environ |= CREDENTIALS
    corpora = [run.corpora["a"].path, run.corpora["b"].path]
    with stand_in(run.scratch, LATENCY, *corpora) as slow, _service(run, slow) as ours, _local(run) as local:
        yield Table(
            "exports from a bucket",
            f"{LATENCY} ms for each request; 'one by one' is what as many GETs take one after the other.",
            ("export", "bucket", "local", "bucket / local", "one by one / bucket", "memory", "`unzip -tq`"),
            [_export_row(run, name, slow, ours, local) for name in ("b", "a")],
        )
    single = run.corpora["single"]
    (run.scratch / "buckets").mkdir()
    (run.scratch / "buckets" / "sessions").symlink_to(run.corpora.root.absolute())
    with nginx(run.scratch / "buckets", run.scratch) as fast, _service(run, fast) as ours:
        yield Table(
            "a download of 1 GB from a bucket",
            "The bucket is nginx, which gives ranges and checks If-Match as S3 does.",
            ("from", "time", "MB/s"),
            list(_single_rows(run, single, fast, ours)),
        )
    corpora = [run.corpora["five"].path, run.corpora["a"].path]
    with stand_in(run.scratch, 0, *corpora) as near, _postgres() as url, _service(run, near, url) as ours:
        yield Table(
            "first byte of an export, with PostgreSQL and a bucket",
            "The bucket adds no latency; 'one listing' is a request for the same keys without the service.",
            ("export", "first byte", "one listing", "difference"),
            [_first_byte_row(run, name, near, ours) for name in ("five", "a")],
        )


@contextmanager
def stand_in(scratch: Path, latency: float, *directories: Path) -> Iterator[Server]:
    """The bucket `sessions` with a directory for each of these."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bucket", str(port), str(latency), *map(str, directories)]
    with started(command, port, scratch) as pid:
        yield Server(port, pid)


@contextmanager
def _postgres() -> Iterator[str]:
    """The URL of a catalog in a server of its own."""
    server = Postgres(durable=True)
    try:
        url = server.new_url()
        asyncio.run(seed(url))
        yield url
    finally:
        server.close()


@contextmanager
def _service(run: Run, bucket: Server, catalog: str | None = None) -> Iterator[Server]:
    s3 = {"endpoint": bucket.url("").rstrip("/"), "path_style": True}
    storage: dict[str, object] = {"root": "s3://sessions", "s3": s3}
    with service(run.corpora, run.scratch, catalog=catalog, storage=storage, index={"enabled": False}) as server:
        yield server


@contextmanager
def _local(run: Run) -> Iterator[Server]:
    with service(run.corpora, run.scratch, index={"enabled": False}) as server:
        yield server


def _export_row(run: Run, name: str, bucket: Server, ours: Server, local: Server) -> list[str]:
    corpus = run.corpora[name]
    path = f"{sessions_path(corpus)}/download-all"
    Client(ours).get(f"{sessions_path(corpus)}?limit=1")
    peak = PeakMemory(ours)
    target = run.scratch / "bucket.zip"
    remote, near = [], []
    for number in range(run.runs):
        print(f"bucket: {name}, round {number + 1}", file=sys.stderr)
        remote.append(download(ours, path, target).seconds)
        near.append(download(local, path).seconds)
    serial = _one_by_one(bucket, corpus.files[:ONE_BY_ONE]) * len(corpus.files)
    ratio = median(remote) / median(near)
    return [
        f"{len(corpus.files)} objects, {table.size(corpus.size)}",
        table.time(median(remote)),
        table.time(median(near)),
        f"{ratio:.2f}",
        f"{serial / median(remote):.0f}",
        table.size(peak.above_idle()),
        "yes" if is_whole(target) else "NO",
    ]


def _one_by_one(bucket: Server, files: list[Path]) -> float:
    """Seconds for each GET."""
    began = time.perf_counter()
    for file in files:
        with urlopen(bucket.url(f"/sessions/{file.parent.name}/{file.name}")) as response:
            response.read()
    return (time.perf_counter() - began) / len(files)


def _single_rows(run: Run, single: Corpus, bucket: Server, ours: Server) -> Iterator[list[str]]:
    (file,) = single.files
    ways = {
        "the bucket, with curl": (bucket, f"/sessions/single/{file.name}"),
        "the service": (ours, f"{sessions_path(single)}/{file.name}/download"),
    }
    for label, (server, path) in ways.items():
        seconds = median(downloads([curl(server, path)])[0].seconds for _ in range(run.runs))
        yield [label, table.time(seconds), f"{1000 / seconds:.0f}"]


def _first_byte_row(run: Run, name: str, bucket: Server, ours: Server) -> list[str]:
    corpus = run.corpora[name]
    client, directly = Client(ours), Client(bucket)
    bodies, listings = [], []
    for _ in range(run.runs * FIRST_BYTES):
        bodies.append(client.begin(f"{sessions_path(corpus)}/download-all")[1])
        listings.append(directly.get(f"/sessions?list-type=2&delimiter=/&prefix={name}/")[0])
        time.sleep(BREATH)
    first, listing = median(bodies), median(listings)
    what = f"{len(corpus.files)} objects, {table.size(corpus.size)}"
    return [what, table.time(first), table.time(listing), table.time(first - listing)]
