"""`python -m tests.bench`: measure, and print a table in Markdown for each group. Progress goes to standard error."""

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.bench.across import across
from tests.bench.beside import beside
from tests.bench.bucket import bucket
from tests.bench.catalog import catalog
from tests.bench.client import client
from tests.bench.console import console
from tests.bench.corpora import Corpora
from tests.bench.engines import engines
from tests.bench.exports import exports
from tests.bench.first_byte import first_byte
from tests.bench.index import index
from tests.bench.known import known
from tests.bench.latency import latency
from tests.bench.listing import listing
from tests.bench.memory import memory
from tests.bench.overhead import overhead
from tests.bench.run import Run
from tests.bench.search import search
from tests.bench.single import single
from tests.bench.table import Table

GROUPS: dict[str, Callable[[Run], Iterator[Table]]] = {
    "exports": exports,
    "known": known,
    "across": across,
    "first-byte": first_byte,
    "memory": memory,
    "latency": latency,
    "list": listing,
    "index": index,
    "beside": beside,
    "search": search,
    "single": single,
    "bucket": bucket,
    "overhead": overhead,
    "catalog": catalog,
    "engines": engines,
    "client": client,
    "console": console,
}
LIBRARIES = ("aiohttp", "aiofiles", "stream-zip", "zipstream-ng", "isal", "zlib-ng", "duckdb", "uvloop")


def main() -> None:
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers and files are removed
    with tempfile.TemporaryDirectory(prefix="session-export-bench-") as name:
        scratch = Path(name)
        kept = arguments.dir / f"scale-{arguments.scale:g}" if arguments.dir else scratch / "sessions"
        run = Run(Corpora(kept, arguments.scale), scratch, arguments.runs)
        print(_conditions(run.runs, arguments.scale), flush=True)
        for group in arguments.only or GROUPS:
            for table in GROUPS[group](run):
                print(table.markdown(), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=GROUPS, metavar="NAME", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="measure N times (default: 5)")
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="keep the corpora in DIR, and take those that are there"
    )
    parser.add_argument(
        "--scale", type=float, default=1, metavar="F", help="multiply the corpora by F, such as 0.01 to try it out"
    )
    return parser


def _conditions(runs: int, scale: float) -> str:
    """When, on what and with what, as a list in Markdown."""
    items = [
        f"{datetime.now(UTC):%Y-%m-%d}, medians of {runs}",
        f"{os.cpu_count()} cores ({_processor()}), {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, {', '.join(_versions())}",
    ]
    if scale != 1:
        items.append(f"scale {scale:g}: all corpora are smaller by that; the figures mean nothing")
    return "".join(f"- {item}\n" for item in items)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _versions() -> Iterator[str]:
    for library in LIBRARIES:
        try:
            yield f"{library} {version(library)}"
        except PackageNotFoundError:
            continue
    if shutil.which("nginx"):
        output = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
        yield f"nginx {output.strip().rpartition('/')[2]}"


if __name__ == "__main__":
    main()
