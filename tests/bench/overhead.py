"""What metrics and log cost: the same service with both on and with neither, side by side."""

import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from statistics import median

from tests.bench import table
from tests.bench.measure import download
from tests.bench.run import Run
from tests.bench.servers import Server, free_port, service, sessions_path
from tests.bench.table import Table

REQUESTS = 1000  # a round
PIPELINED = 20  # sent together, so that the client costs next to nothing
ROUNDS = {"exports": 4, "requests": 12}  # a run: a difference this small shows in many short rounds only


def overhead(run: Run) -> Iterator[Table]:
    """One table."""
    with ExitStack() as stack:
        off = stack.enter_context(service(run.corpora, run.scratch, logging={"level": "error"}))
        on = stack.enter_context(service(run.corpora, run.scratch, metrics={"port": free_port()}))
        servers = [off, on]
        rows = [
            _row(f"export of {about}", _taken_in_turn(run.runs * ROUNDS["exports"], servers, _exporting(run, name)))
            for name, about in (("a", "200 sessions, 280 MB"), ("b", "10,000 sessions, 120 MB"))
        ]
        for path in ("/healthz", "/nothing"):
            times = _taken_in_turn(run.runs * ROUNDS["requests"], servers, partial(_ask, path))
            rows.append(_row(f"{REQUESTS} `GET {path}`", times))
    yield Table(
        "overhead of metrics and log",
        "Off: no metrics, log at `error`. On: metrics, log at `info`. In turn, round by round; the difference is the "
        "median of the rounds'. `/nothing` is a 404 that writes its line.",
        ("what", "off", "on", "difference"),
        rows,
    )


def _taken_in_turn(rounds: int, servers: list[Server], take: Callable[[Server], float]) -> list[tuple[float, float]]:
    """Seconds off and on, a pair a round; every other round the other way round."""
    pairs = []
    for server in servers:
        take(server)  # warm
    for number in range(rounds):
        print(f"overhead, round {number + 1} of {rounds}", file=sys.stderr)
        order = (0, 1) if number % 2 else (1, 0)
        taken = {which: take(servers[which]) for which in order}
        pairs.append((taken[0], taken[1]))
    return pairs


def _exporting(run: Run, name: str) -> Callable[[Server], float]:
    path = f"{sessions_path(run.corpora[name])}/download-all"
    return lambda server: download(server, path).seconds


def _ask(path: str, server: Server) -> float:
    """Seconds for all requests, over one connection."""
    batch = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * PIPELINED
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        began = time.perf_counter()
        for _ in range(REQUESTS // PIPELINED):
            connection.sendall(batch)
            received = b""
            while received.count(b"HTTP/1.1 ") < PIPELINED or received.count(b"\r\n\r\n") < PIPELINED:
                received += connection.recv(1 << 16)
        return time.perf_counter() - began


def _row(what: str, pairs: list[tuple[float, float]]) -> list[str]:
    off, on = (median(pair[which] for pair in pairs) for which in (0, 1))
    difference = median(pair[1] / pair[0] - 1 for pair in pairs)
    return [what, table.time(off), table.time(on), f"{difference:+.1%}"]
