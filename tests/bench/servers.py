"""The servers that are compared, each a process of its own on a free port of 127.0.0.1."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.catalog import User, Users, open_catalog
from service.cli.tokens import new_token
from service.config import Catalog
from service.pools import Pool
from tests.bench.corpora import SHAPES, Corpora, Corpus

REPOSITORY = Path(__file__).parents[2]
START_TIMEOUT = 60  # seconds

# Like Usage.add, but for a hundred thousand rows at once.
ADD_USAGE = """
    INSERT INTO usage_session_summary (session_file, session_id, username, user_id, started_at, ended_at,
        active_seconds, wall_seconds, tool_calls, tool_errors, primary_model, processor_version)
    SELECT concat($1, '/', name), replace(name, '.jsonl', ''), $1, $1,
        TIMESTAMP '2026-01-01' + to_minutes(number), TIMESTAMP '2026-01-01' + to_minutes(number + 30),
        number % 1800, 1800, number % 90, number % 7, 'claude-sonnet-4-20250514', 3
    FROM (SELECT unnest($2) AS name, unnest(range(len($2))) AS number)
"""

NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    sendfile on;
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    server {{
        listen 127.0.0.1:{port};
        root {root};
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens. `token` is for the service alone."""

    port: int
    pid: int
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def sessions_path(corpus: Corpus) -> str:
    """Where the service lists the sessions of a corpus; `/download-all` below it exports them."""
    return f"/api/admin/users/{corpus.user_id}/sessions"


@contextmanager
def service(
    corpora: Corpora,
    scratch: Path,
    *,
    processed: Sequence[Corpus] = (),
    max_concurrent: int = 8,
    queue_timeout: float = 600,
    catalog: Path | str | None = None,
    **sections: dict[str, object],
) -> Iterator[Server]:
    """This service on all corpora, with a new catalog that knows nine of ten sessions of those `processed`, or with
    this one (a file, or a URL). `sections` are more of the configuration."""
    home = Path(tempfile.mkdtemp(prefix="service-", dir=scratch))
    catalog = catalog or seeded(home, processed)
    token = new_token("bench-admin", admin=True, name="bench")
    port = free_port()
    config = {
        "server": {"port": port, "shutdown_timeout": 0},
        "storage": {"root": str(corpora.root.absolute())},
        "catalog": {"url": str(catalog)},
        "auth": {"tokens": [{"name": "bench", "user_id": "bench-admin", "admin": True, "sha256": token.sha256}]},
        "exports": {
            "max_concurrent": max_concurrent,
            "max_per_caller": max_concurrent,
            "queue_timeout": queue_timeout,
        },
        **sections,
    }
    file = home / "config.yaml"
    file.write_text(json.dumps(config))  # JSON is YAML
    with started([sys.executable, "-m", "service", "serve", "--config", str(file)], port, home) as pid:
        yield Server(port, pid, token.token)


@contextmanager
def rival(way: str, scratch: Path, *sources: Path) -> Iterator[Server]:
    """A way of `tests.bench.rivals`; it answers at `/`."""
    port = free_port()
    paths = [str(source.absolute()) for source in sources]
    with started([sys.executable, "-m", "tests.bench.rivals", way, str(port), *paths], port, scratch) as pid:
        yield Server(port, pid)


@contextmanager
def nginx(root: Path, scratch: Path) -> Iterator[Server]:
    """nginx with sendfile, for the files in `root`. Raises FileNotFoundError where there is no nginx."""
    program = shutil.which("nginx")
    if program is None:
        raise FileNotFoundError("nginx")
    home = Path(tempfile.mkdtemp(prefix="nginx-", dir=scratch))
    port = free_port()
    (home / "nginx.conf").write_text(NGINX.format(port=port, root=root.absolute()))
    with started([program, "-p", str(home), "-e", "stderr", "-c", "nginx.conf"], port, home) as pid:
        yield Server(port, pid)


def seeded(directory: Path, processed: Sequence[Corpus]) -> Path:
    """A new catalog with a user for each corpus, and usage of nine in ten sessions of those that are `processed`."""
    path = directory / "catalog.duckdb"
    asyncio.run(seed(str(path), processed))
    return path


async def seed(url: str, processed: Sequence[Corpus] = ()) -> None:
    """Fill a new catalog as `seeded` does."""
    pool = Pool("catalog", 1)
    database = await open_catalog(Catalog(url=url, memory_limit="1GB"), pool)
    try:
        await Users(database).add(User(name, f"{name}@example.com", None) for name in SHAPES)
        for corpus in processed:
            names = [file.name for number, file in enumerate(corpus.files) if number % 10]
            await database.query(ADD_USAGE, [corpus.user_id, names])
    finally:
        database.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def started(command: list[str], port: int, home: Path) -> Iterator[int]:
    """A process that runs until the end of the block; its pid, once it listens."""
    with tempfile.TemporaryFile(dir=home) as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + START_TIMEOUT
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"{command} does not listen: {log.read().decode(errors='replace')}")
                time.sleep(0.02)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
