"""`session-export serve`: why it does not start, what it says, and that it ends."""

import asyncio
import json
import os
import re
import signal
import socket
from pathlib import Path

import duckdb
import pytest

from tests.command import configure, curl, run, running


def test_serve_without_a_way_to_authenticate_refuses_and_says_what_to_configure(tmp_path: Path) -> None:
    done = run("serve", cwd=tmp_path)
    assert done.returncode == 1
    assert "auth.tokens" in done.stderr
    assert "session-export token" in done.stderr
    assert "Traceback" not in done.stderr


HALF_A_PROXY = {"user_header": "U", "groups_header": "G", "admin_group": "g"}
JWT_WITHOUT_FILE = {
    "issuer": "i", "audience": "a", "algorithms": ["RS256"], "admin_claim": "g", "admin_value": "v",
    "jwks_file": "none.json",
}  # fmt: skip


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"server": {"port": "x"}}, ["server.port", "'x'"]),
        ({"catalog": {"url": "config.yaml"}}, ["catalog config.yaml", "not a DuckDB database file"]),
        pytest.param(
            {"catalog": {"url": "config.yaml/under/a/file.duckdb"}}, ["catalog config.yaml/under", "cannot be opened"],
            marks=pytest.mark.long,
        ),
        pytest.param(
            {"catalog": {"url": "/proc/catalog.duckdb"}}, ["catalog /proc/catalog.duckdb", "cannot be opened or made"],
            marks=pytest.mark.long,
        ),
        pytest.param({"server": {"host": "192.0.2.1"}}, ["192.0.2.1"], marks=pytest.mark.long),
        ({"auth": {"proxy": HALF_A_PROXY}}, ["auth.proxy", "server.trusted_proxies"]),
        pytest.param({"auth": {"jwt": JWT_WITHOUT_FILE}}, ["auth.jwt.jwks_file", "none.json"], marks=pytest.mark.long),
    ],
)  # fmt: skip
def test_serve_that_cannot_start_says_why_in_one_line(
    tmp_path: Path, sections: dict[str, object], words: list[str]
) -> None:
    configure(tmp_path, **sections)
    done = run("serve", cwd=tmp_path)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, done.stderr
    for word in words:
        assert word in errors[0]
    assert "Traceback" not in done.stderr


def test_serve_whose_metrics_port_is_taken_says_so_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        configure(tmp_path, metrics={"port": taken.getsockname()[1]})
        done = run("serve", cwd=tmp_path)
    assert done.returncode == 1
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert "metrics.port" in error
    assert "address already in use" in error
    assert "Traceback" not in done.stderr


def test_serve_logs_as_it_is_configured_and_says_startup_summary(tmp_path: Path) -> None:
    configure(tmp_path, logging={"format": "json"}, metrics={"port": 0}, server={"host": "0.0.0.0", "port": 0})
    with running("serve", cwd=tmp_path, until="server.host is 0.0.0.0") as (_, lines):
        said = [json.loads(line) for line in lines]
    for begin in ("metrics at http://127.0.0.1:", "Session Export ", "session root ", "catalog ", "limits: "):
        assert any(line["message"].startswith(begin) for line in said), begin
    assert said[-1]["level"] == "warning"


def test_serve_on_a_catalog_that_another_process_holds(tmp_path: Path) -> None:
    configure(tmp_path, catalog={"url": "held.duckdb"})
    with duckdb.connect(tmp_path / "held.duckdb"):
        done = run("serve", cwd=tmp_path)
    assert done.returncode == 1
    assert f"another process holds it: PID {os.getpid()}" in done.stderr


def test_a_token_from_the_command_opens_the_service_and_sigterm_ends_it(tmp_path: Path) -> None:
    (tmp_path / "data" / "user_sessions" / "alice").mkdir(parents=True)
    configure(tmp_path)
    (tmp_path / "users.csv").write_text("id,email,name\nu1,alice@example.com,\n")
    run("users", "import", "users.csv", cwd=tmp_path)
    with running("serve", cwd=tmp_path, until="session root") as (process, lines):
        url = re.findall(r"http://\S+", "".join(lines))[0]
        header = f"Authorization: Bearer {(tmp_path / 'token').read_text()}"
        body = asyncio.run(curl(f"{url}/api/admin/users/u1/sessions", "-H", header))
        assert json.loads(body)["rows"] == []
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stdout is not None
        assert "stopped" in process.stdout.read()
