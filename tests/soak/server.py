"""The service as an operator runs it: a process on a directory that outlives it."""

import asyncio
import contextlib
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

from service.catalog import User, Users, open_catalog
from service.cli.tokens import NewToken, new_token
from service.config import Catalog
from service.pools import Pool

REPOSITORY = Path(__file__).parents[2]


class Service:
    """`root` and `catalog` are there before the first start; it may be started again and again."""

    def __init__(self, directory: Path, token: NewToken | None = None, **sections: dict[str, Any]) -> None:
        """`sections` are those of config.yaml, as far as they differ from the defaults; `token` is the admin's, a new
        one by default."""
        self.root = directory / "root"
        self.root.mkdir(exist_ok=True)
        self.catalog = directory / "catalog.duckdb"
        self.lines: list[str] = []  # of the log, of all lives
        self.pid = 0
        self.port = 0  # once it was started
        self.url = ""
        self._config = directory / "config.yaml"
        self._new_line = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        token = token or new_token("admin1", admin=True, name="soak")
        self.headers = {"Authorization": f"Bearer {token.token}"}
        self._sections: dict[str, dict[str, Any]] = {
            "server": {"port": 0},
            "storage": {"root": str(self.root)},
            "catalog": {"url": str(self.catalog)},
            "auth": {"tokens": [{"name": "soak", "user_id": "admin1", "admin": True, "sha256": token.sha256}]},
        }
        for name, section in sections.items():
            self._sections[name] = self._sections.get(name, {}) | section
        self.configure()

    def configure(self, **sections: dict[str, Any]) -> None:
        """Write config.yaml; a section that is given stands in the place of the whole one."""
        self._config.write_text(json.dumps(self._sections | sections))  # JSON is YAML

    async def add_users(self, *users: User) -> None:
        """Before the start: a DuckDB file belongs to one process."""
        pool = Pool("catalog", 1)
        database = await open_catalog(Catalog(url=self._sections["catalog"]["url"]), pool)
        try:
            await Users(database).add(users)
        finally:
            database.close()

    async def start(self) -> None:
        """Returns once it listens. Raises RuntimeError, with its log, when it ends before."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "service", "serve", "--config", self._config,
            cwd=REPOSITORY, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self.pid = self._process.pid
        begin = len(self.lines)
        self._reading = asyncio.create_task(self._read(self._process))
        self.url = (await self.says(r"listening on (\S+)", begin))[1]
        self.port = int(self.url.rpartition(":")[2])
        await self.says("session root", begin)

    async def says(self, pattern: str, begin: int = 0) -> re.Match[str]:
        """The first line of the log, from number `begin` on, that matches. Waits for it while the process runs."""
        assert self._reading is not None
        while True:
            ended = self._reading.done()
            for line in self.lines[begin:]:
                if match := re.search(pattern, line):
                    return match
            if ended:
                raise RuntimeError(f"the service ended without saying {pattern!r}: {self.lines[begin:]}")
            self._new_line.clear()
            await self._new_line.wait()

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Until it has ended; its exit code, negative after a signal."""
        assert self._process is not None
        assert self._reading is not None
        code = await self._process.wait()
        await self._reading
        return code

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.send_signal(number)
        return await self.wait()

    def descriptors(self) -> list[str]:
        """What the process has open, but for the catalog's files, which DuckDB opens and closes as it likes."""
        found = []
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since the directory was read
                found.append(re.sub(r"\[\d+\]", "", str(link.readlink())))
        return sorted(name for name in found if not name.startswith(str(self.catalog)))

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def memory(self) -> int:
        """Bytes that are resident."""
        (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        return int(kilobytes) * 1024

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            self.lines.append(line.decode().rstrip("\n"))
            self._new_line.set()
        self._new_line.set()
