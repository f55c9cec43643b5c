"""How things are measured: with clients that are processes of their own, and by what the kernel says of a server."""

import math
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import IO

from tests.bench.servers import Server

NOWHERE = Path(os.devnull)
# To standard error, which curl does not buffer: what one that is killed has reported is there.
FORMAT = "%{stderr}%{time_starttransfer} %{time_total} %{size_download} %{http_code} %{exitcode}\n"


@dataclass(frozen=True, slots=True)
class Download:
    """What curl says of one: seconds until the response began and until it ended, and the body's bytes."""

    first_byte: float
    seconds: float
    size: int
    complete: bool

    @classmethod
    def parse(cls, line: str) -> "Download":
        first_byte, seconds, size, status, exit_code = line.split()
        return cls(float(first_byte), float(seconds), int(size), (status, exit_code) == ("200", "0"))


def curl(
    server: Server, path: str = "/", to: Path = NOWHERE, report: int | IO[str] = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Begin a download in a curl of its own, which reports a line that `Download.parse` takes.

    A path that ends in `#[1-9]` is downloaded nine times, one after the other.
    """
    headers = [f"-H{name}: {value}" for name, value in server.headers.items()]
    command = ["curl", "--silent", "--output", str(to), "--write-out", FORMAT, *headers, server.url(path)]
    return subprocess.Popen(command, stderr=report, text=True)


def downloads(clients: Sequence[subprocess.Popen[str]]) -> list[Download]:
    """Wait for all of them."""
    return [Download.parse(client.communicate()[1]) for client in clients]


def download(server: Server, path: str = "/", to: Path = NOWHERE) -> Download:
    """Download once, with curl."""
    return downloads([curl(server, path, to)])[0]


def is_whole(archive: Path) -> bool:
    """Whether `unzip` accepts every member."""
    return subprocess.run(["unzip", "-tq", archive], capture_output=True, check=False).returncode == 0


class PeakMemory:
    """The most physical memory that a server takes from now on, above what it holds now (proc(5), `clear_refs`)."""

    def __init__(self, server: Server) -> None:
        self._process = Path("/proc") / str(server.pid)
        (self._process / "clear_refs").write_text("5")
        self._idle = self._status("VmRSS")

    def above_idle(self) -> int:
        """Bytes."""
        return self._status("VmHWM") - self._idle

    def _status(self, key: str) -> int:
        return _status(self._process, key)


def processor_time(server: Server) -> float:
    """Seconds, of all its threads that still run (the first number of `schedstat` is nanoseconds)."""
    threads = Path(f"/proc/{server.pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def resident(server: Server) -> int:
    """Bytes of physical memory that a server takes now."""
    return _status(Path("/proc") / str(server.pid), "VmRSS")


def _status(process: Path, key: str) -> int:
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


class Client:
    """One connection that is kept alive, for requests whose time is a matter of milliseconds."""

    def __init__(self, server: Server) -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=600)
        self._headers = server.headers

    def get(self, path: str) -> tuple[float, bytes]:
        """Seconds until the whole response was read, and its body."""
        began = time.perf_counter()
        with self._response(path) as response:
            body = response.read()
            return time.perf_counter() - began, body

    def begin(self, path: str, **headers: str) -> tuple[float, float]:
        """Seconds until the response began, and until its body did; then hang up after the first KB of it."""
        began = time.perf_counter()
        with self._response(path, **headers) as response:
            head = time.perf_counter() - began
            response.read(1)
            body = time.perf_counter() - began
            response.read(1023)
        self._connection.close()
        return head, body

    def head(self, path: str) -> HTTPResponse:
        """The response to a HEAD, of which only the headers are of use."""
        self._connection.request("HEAD", path, headers=self._headers)
        with self._connection.getresponse() as response:
            return response

    def _response(self, path: str, **headers: str) -> HTTPResponse:
        self._connection.request("GET", path, headers=self._headers | headers)
        response = self._connection.getresponse()
        if response.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            raise RuntimeError(f"GET {path}: {response.status} {response.read()!r}")
        return response


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all do not exceed."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
