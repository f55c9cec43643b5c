"""The command as a user runs it: another process, its output, its exit code."""

import asyncio
import json
import os
import re
import resource
import signal
import socket
import subprocess
import zipfile
from pathlib import Path

import duckdb
import pytest

from tests.command import configure, curl, run, running


@pytest.mark.parametrize("command", [[], ["serve"], ["token"], ["users"], ["users", "import"], ["demo"], ["verify"]])
def test_help_is_a_text_that_a_person_understands(tmp_path: Path, command: list[str]) -> None:
    done = run(*command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ")
    assert len(done.stdout.split("Options:")[0].split()) > 6


def test_the_commands_are_described_in_whole_sentences(tmp_path: Path) -> None:
    commands = run("--help", cwd=tmp_path).stdout.partition("Commands:\n")[2].splitlines()
    assert len(commands) > 8
    assert [line for line in commands if not line.endswith(".") or line.endswith("...")] == []


def test_help_is_there_at_once(tmp_path: Path) -> None:
    """By processor time: others use the machine, too."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = used()
    assert run("--help", cwd=tmp_path).returncode == 0
    assert used() - before < 0.3


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


def test_users_import(tmp_path: Path) -> None:
    configure(tmp_path)
    users = tmp_path / "users.csv"
    users.write_text("id,email,name,team\nu1,a@example.com,Ann,x\nu2,b@example.com,\n")
    assert run("users", "import", "users.csv", cwd=tmp_path).stdout == "2 added, 0 already there\n"
    assert run("users", "import", "users.csv", cwd=tmp_path).stdout == "0 added, 2 already there\n"
    with duckdb.connect(tmp_path / "data" / "catalog.duckdb") as catalog:
        rows = catalog.execute("SELECT id, email, name, active FROM users ORDER BY id").fetchall()
    assert rows == [("u1", "a@example.com", "Ann", True), ("u2", "b@example.com", None, True)]


def test_users_import_refuses_a_wrong_file_whole(tmp_path: Path) -> None:
    configure(tmp_path)
    (tmp_path / "users.csv").write_text("id,email,name\nu1,a@example.com,\nu2,a@example.com,\n")
    done = run("users", "import", "users.csv", cwd=tmp_path)
    assert done.returncode == 1
    assert "belongs to 'u1'" in done.stderr
    (tmp_path / "good.csv").write_text("id,email,name\nu1,a@example.com,\n")
    assert run("users", "import", "good.csv", cwd=tmp_path).stdout == "1 added, 0 already there\n"


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


def test_the_demos_commands_work_as_they_are_pasted(tmp_path: Path) -> None:
    with running("demo", "--port", "0", cwd=tmp_path, until="/docs") as (process, lines):
        text = "".join(lines)
        directory = Path(re.findall(r"sessions in (\S+)", text)[0])
        assert directory.is_dir()
        commands = [line.strip() for line in lines if line.startswith("  ") and "#" not in line]
        done = subprocess.run(
            ["bash", "-euc", "\n".join(commands)], capture_output=True, text=True, cwd=tmp_path, check=False, timeout=40
        )
        assert done.returncode == 0, done.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert not directory.exists(), "removed at the end"
    listed, end = json.JSONDecoder().raw_decode(done.stdout)
    activity, end = json.JSONDecoder().raw_decode(done.stdout, end)
    assert listed["pagination"]["total"] == 5
    assert done.stdout[end:].startswith("u-1001: 5 files"), "what the client says"
    assert zipfile.is_zipfile(tmp_path / "exports" / "u-1001.zip")
    actions = [row["action"] for row in activity["rows"]]
    assert actions == [
        "session_bulk_download",
        "session_bulk_download_started",
        "session_download",
        "session_download_started",
    ]
    (archive,) = tmp_path.glob("alice-sessions-*.zip")
    with zipfile.ZipFile(archive) as opened:
        assert len(opened.namelist()) == 5
        assert opened.testzip() is None
        assert all(json.loads(line) for line in opened.read(opened.namelist()[0]).splitlines())
    (single,) = tmp_path.glob("*.jsonl")
    assert single.stat().st_size > 300_000
