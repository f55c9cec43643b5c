"""Every command that the README and the pages show is run, as it is pasted."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import configure, run, running
from tests.docs.pages import PAGES, commands, name
from tests.postgres import Postgres

pytestmark = pytest.mark.long

PASTED = [path for path in PAGES if commands(path.read_text(), r"\$ ")]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """A demo runs; the lines that it says to paste first."""
    directory = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TMPDIR", str(directory))  # it is killed in the end, and its samples stay
        with running("demo", "--port", "0", cwd=directory, until="/docs") as (_, lines):
            yield [line.strip() for line in lines if line.startswith("  export ")]


@pytest.mark.parametrize("path", PASTED, ids=name)
def test_every_command_with_a_prompt_runs_against_the_demo(path: Path, exports: list[str], tmp_path: Path) -> None:
    """As they are pasted, but for the minute that the doctor waits."""
    found, before = f"{Path(sys.executable).parent}:{os.environ['PATH']}", list(exports)
    for command in commands(path.read_text(), r"\$ "):
        pasted = re.sub("(session-export doctor)", r"\1 --silence 1 2>wait", command)
        done = subprocess.run(
            ["bash", "-euc", "\n".join([*before, pasted])], env={**os.environ, "PATH": found},
            capture_output=True, text=True, cwd=tmp_path, check=False, timeout=30,
        )  # fmt: skip
        if re.match(r"(export )?\w+=", command):
            before.append(command)  # later commands use the variable
        assert (done.returncode, done.stderr) == (0, ""), command
        assert_has_the_keys_that_are_shown(path.read_text(), command, done.stdout)


def assert_has_the_keys_that_are_shown(text: str, command: str, output: str) -> None:
    """Where the answer is JSON."""
    if output.startswith("{"):
        shown = text.replace("\n      ", " ").partition(f"$ {command}\n    ")[2]
        expected, _ = json.JSONDecoder().raw_decode(shown)
        answered = json.loads(output)
        assert answered.keys() == expected.keys()
        for row, example in zip(answered.get("rows", []), expected.get("rows", []), strict=True):
            assert row.keys() == example.keys()


def test_every_command_of_the_service_runs(tmp_path: Path, postgres: Postgres) -> None:
    """In a directory with a configuration and a list of users, in the order in which they stand there; with a database
    of ours for the one that is named."""
    configure(tmp_path)
    (tmp_path / "users.csv").write_text("id,email,name\nu-1,alice@example.com,Alice\n")
    (tmp_path / "data" / "user_sessions").mkdir(parents=True)
    lines = dict.fromkeys(line for path in PAGES for line in commands(path.read_text(), "session-export "))
    assert {line.split()[0] for line in lines} >= {"token", "users", "serve"}
    for line in (re.sub(r"postgresql://\S+", postgres.new_url(), line) for line in lines):
        if line.startswith("serve"):
            with running(*line.split(), cwd=tmp_path, until="listening on") as (_, said):
                assert "listening on" in said[-1], said
        else:
            done = run(*line.split(), cwd=tmp_path)
            assert done.returncode == 0, done.stderr
