"""The command `session-export` against a running service, as a user runs it: another process."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.command import COMMAND, TOP
from tests.world import ADMIN


@dataclass(frozen=True)
class Done:
    """Exit code, standard output and standard error."""

    code: int
    out: str
    err: str


@asynccontextmanager
async def started(
    *arguments: str,
    cwd: Path,
    url: str,
    token: str = ADMIN,
    prepare: Callable[[], None] = lambda: None,
    **pipes: object,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`prepare` runs in the new process before the command."""
    environ = os.environ | {"PYTHONPATH": str(TOP), "SESSION_EXPORT_URL": url, "SESSION_EXPORT_TOKEN": token}
    kept: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}

    def begin() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
        prepare()

    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, cwd=cwd, env=environ, preexec_fn=begin, **(kept | pipes)  # type: ignore[arg-type]
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def run(
    *arguments: str,
    cwd: Path,
    url: str,
    token: str = ADMIN,
    prepare: Callable[[], None] = lambda: None,
    **pipes: object,
) -> Done:
    async with started(*arguments, cwd=cwd, url=url, token=token, prepare=prepare, **pipes) as process:
        out, err = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, (out or b"").decode(), (err or b"").decode())


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())
