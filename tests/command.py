"""The command `session-export` as a process of its own."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from service.cli.tokens import new_token

COMMAND = [sys.executable, "-m", "service"]
TOP = Path(__file__).parent.parent


def run(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment(environ),
        timeout=50,
    )


def environment(more: dict[str, str]) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(TOP), "PYTHONUNBUFFERED": "1"} | more


@contextmanager
def running(*arguments: str, cwd: Path, until: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The command in the background, and its output until a line matches `until`."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env=environment({}),
    ) as process:
        try:
            lines: list[str] = []
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if re.search(until, line):
                    break
            yield process, lines
        finally:
            process.kill()


def configure(directory: Path, **sections: object) -> Path:
    """A configuration with one admin, whose token is in the file `token` beside it."""
    made = new_token("admin1", admin=True, name="admin1")
    (directory / "token").write_text(made.token)
    tokens = yaml.safe_load(made.lines)
    config = directory / "config.yaml"
    config.write_text(yaml.safe_dump({"server": {"port": 0}, "auth": {"tokens": tokens}} | sections))
    return config


async def curl(url: str, *arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        "curl", "-sf", "--max-time", "30", *arguments, url, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, process.returncode
    return out
