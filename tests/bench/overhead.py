"""What metrics and log cost: the same service with both on and with neither, side by side."""

import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median

from tests.bench import table
from tests.bench.measure import download, processor_time
from tests.bench.run import Run
from tests.bench.servers import Server, free_port, service, sessions_path
from tests.bench.table import Table

REQUESTS = 1000  # a round
CLIENTS = 20  # connections; each asks again as soon as it was answered
ROUNDS = {"exports": 4, "requests": 12}  # a run: a difference this small shows in many short rounds only


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds that a round took, and seconds of processor that the server took for it."""

    time: float
    processor: float


Pair = tuple[Sample, Sample]  # off, on


def overhead(run: Run) -> Iterator[Table]:
    """One table."""
    with ExitStack() as stack:
        off = stack.enter_context(service(run.corpora, run.scratch, logging={"level": "error"}))
        on = stack.enter_context(service(run.corpora, run.scratch, metrics={"port": free_port()}))
        rows = []
        for name, about in (("a", "200 sessions, 280 MB"), ("b", "10,000 sessions, 120 MB")):
            export = partial(_export, f"{sessions_path(run.corpora[name])}/download-all")
            rows.append(_row(f"export of {about}", _in_turn(run.runs * ROUNDS["exports"], off, on, export)))
        for path in ("/healthz", "/nothing"):
            pairs = _in_turn(run.runs * ROUNDS["requests"], off, on, partial(_ask, path))
            rows.append(_row(f"{REQUESTS} `GET {path}`", pairs))
    yield Table(
        "overhead of metrics and log",
        "Off: no metrics, log at `error`. On: metrics, log at `info`. In turn, round by round; a difference is the "
        "median of the rounds'. Processor time is the server's: other programs disturb it less. `/nothing` is a 401, "
        "which has a line in the log.",
        ("what", "time off", "time on", "difference", "processor off", "processor on", "difference"),
        rows,
    )


def _in_turn(rounds: int, off: Server, on: Server, take: Callable[[Server], object]) -> list[Pair]:
    """A pair a round; every other round begins with the other one."""
    pairs = []
    for number in range(-1, rounds):
        print(f"overhead, round {number + 1} of {rounds}", file=sys.stderr)
        if number % 2:
            pairs.append((_sample(off, take), _sample(on, take)))
        else:
            later, sooner = _sample(on, take), _sample(off, take)
            pairs.append((sooner, later))
    return pairs[1:]  # the first was to get warm


def _sample(server: Server, take: Callable[[Server], object]) -> Sample:
    processor, began = processor_time(server), time.perf_counter()
    take(server)
    return Sample(time.perf_counter() - began, processor_time(server) - processor)


def _export(path: str, server: Server) -> None:
    if not download(server, path).complete:
        raise RuntimeError("an export failed")


def _ask(path: str, server: Server) -> None:
    """All requests: from all connections at once, again and again."""
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(CLIENTS)]
        for _ in range(REQUESTS // CLIENTS):
            for client in clients:
                client.sendall(request)
            for client in clients:
                received = b""
                while b"\r\n\r\n" not in received or not received.endswith(b"}"):
                    received += client.recv(1 << 16)


def _row(what: str, pairs: list[Pair]) -> list[str]:
    times = [(off.time, on.time) for off, on in pairs]
    return [what, *_cells(times), *_cells([(off.processor, on.processor) for off, on in pairs])]


def _cells(pairs: list[tuple[float, float]]) -> list[str]:
    off, on = (median(pair[which] for pair in pairs) for which in (0, 1))
    return [table.time(off), table.time(on), f"{median(on / off - 1 for off, on in pairs):+.1%}"]
