"""A service that is killed in the middle of a long export: what it had measured until then is known afterwards."""

import os
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from tests.command import run
from tests.serving import Serving, prepare, serving

ENDLESS = 64 * 1024 * 1024  # bytes that cannot be compressed: more than a socket takes from a client who does not read


def ask(connection: HTTPConnection, served: Serving, method: str, path: str) -> HTTPResponse:
    connection.request(method, f"/api/admin/{path}", headers={"Authorization": f"Bearer {served.token}"})
    return connection.getresponse()


def announced_length(served: Serving, user_id: str) -> str | None:
    """The length of the user's export; None if it is not known without measuring."""
    with closing(HTTPConnection("127.0.0.1", served.port, timeout=30)) as connection:
        return ask(connection, served, "HEAD", f"users/{user_id}/sessions/download-all").headers["Content-Length"]


def wait_until_written(wal: Path, size: int) -> None:
    """Return once the catalog has written more rows than it had at this size."""
    deadline = time.monotonic() + 60
    while wal.stat().st_size == size:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.long
def test_users_whose_sessions_were_exported_before_it_was_killed_are_measured(tmp_path: Path) -> None:
    root = prepare(tmp_path, index={"enabled": False}).parent.parent
    (tmp_path / "more.csv").write_text("id,email,name\nu-1002,bob@example.com,Bob\nu-1003,carol@example.com,Carol\n")
    assert run("users", "import", "more.csv", cwd=tmp_path).returncode == 0
    for name, data in [("bob", b"{}\n"), ("carol", os.urandom(ENDLESS))]:
        (root / name).mkdir()
        (root / name / f"{name}.jsonl").write_bytes(data)
    with serving(tmp_path) as served, closing(HTTPConnection("127.0.0.1", served.port, timeout=30)) as connection:
        ask(connection, served, "GET", "sessions/download-all").read(1)  # the started row is on disk now
        wal = tmp_path / "data" / "catalog.duckdb.wal"
        wait_until_written(wal, wal.stat().st_size)
        served.process.kill()
        served.process.wait()
    with serving(tmp_path) as served:
        lengths = [announced_length(served, user_id) for user_id in ("u-1001", "u-1002", "u-1003")]
    assert [length is not None for length in lengths] == [True, True, False]
