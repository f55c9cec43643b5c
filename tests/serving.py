"""The command `serve` as a process of its own, with Alice and her sessions."""

import http.client
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.command import COMMAND, configure, environment, run


class Serving:
    """A service that runs in `directory`; its log so far is in `log`."""

    def __init__(self, directory: Path, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.token = (directory / "token").read_text()
        self.log: list[str] = []
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._listening.wait(30), self.log
        assert self.url, self.log

    @property
    def url(self) -> str:
        found = re.search(r"listening on (http://\S+)", "".join(self.log))
        return found[1] if found else ""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
        """Status and body of what is below /api/admin/users, or from the top with a leading slash; over a connection
        of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            target = path if path.startswith("/") else f"/api/admin/users/{path}"
            connection.request(method, target, headers={"Authorization": f"Bearer {self.token}"} | headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def stop(self) -> str:
        """Its whole log."""
        self.process.terminate()
        self._reader.join(30)
        self.process.wait(30)
        return "".join(self.log)

    def _read(self) -> None:
        """To the end: who writes into a pipe that nobody reads stands still."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line)
            if "listening on" in line:
                self._listening.set()
        self._listening.set()


def prepare(directory: Path, **sections: object) -> Path:
    """A configuration, the user Alice (`u-1001`), and her session `a.jsonl`, which is returned."""
    file = directory / "data" / "user_sessions" / "alice" / "a.jsonl"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(range(100)))
    configure(directory, **sections)
    (directory / "users.csv").write_text("id,email,name\nu-1001,alice@example.com,Alice\n")
    assert run("users", "import", "users.csv", cwd=directory).returncode == 0
    return file


@contextmanager
def serving(directory: Path, *prefix: str, **environ: str) -> Iterator[Serving]:
    """Serve what `prepare` made; `prefix` is a command that runs it (strace)."""
    with subprocess.Popen(
        [*prefix, sys.executable, *COMMAND[1:], "serve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=directory,
        env=environment(environ),
    ) as process:
        made = Serving(directory, process)
        try:
            yield made
        finally:
            made.stop()
