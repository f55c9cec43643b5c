"""The help of the commands, and `users import` without a service."""

import resource
from pathlib import Path

import duckdb
import pytest

from tests.command import configure, run


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
