"""What a person sees, in a terminal and without one."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import termios
from pathlib import Path

import pytest

from service.catalog import User
from service.cli.output import printable
from tests.cli.process import Done, run
from tests.wire import Wire
from tests.world import NOISE, World

pytestmark = pytest.mark.long


async def in_a_terminal(*arguments: str, cwd: Path, url: str) -> tuple[int, str]:
    """The command with a terminal of 100 columns for its output; all that it wrote there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    written = bytearray()
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, lambda: written.extend(os.read(ours, 65536)))
    try:
        done = await run(*arguments, cwd=cwd, url=url, stdout=theirs, stderr=theirs)
        while b"\n" not in written[-2:]:
            await asyncio.sleep(0.01)
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)
    return done.code, written.decode()


async def test_in_a_terminal_an_export_has_a_bar_with_share_bytes_and_speed(service: World, here: Path) -> None:
    service.file("a.jsonl", NOISE * 20)
    service.file("b.jsonl", b"x" * 60_000_000)
    code, text = await in_a_terminal("export", "--user", "u-1", cwd=here, url=service.url("/"))
    assert code == 0
    shares = [int(share) for share in re.findall(r"u-1: +(\d+)%\|.*?\| [\d.]+[kM]?/120M +[\d.]+[kMG]?B/s", text)]
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert re.search(r", [\d.]+ MB received", text)
    assert text.rstrip().endswith("u-1: 2 files, 120 MB, u-1.zip")


async def test_in_a_terminal_each_user_has_a_bar_and_a_line(service: World, here: Path) -> None:
    await service.add_users(User("u-2", "bob@example.com", None))
    for folder in ("alice", "bob"):
        service.file("a.jsonl", NOISE * 10, folder=folder)
    code, text = await in_a_terminal("export", "--user", "u-1", "--user", "u-2", cwd=here, url=service.url("/"))
    assert code == 0
    for user in ("u-1", "u-2"):
        assert f"{user}:   0%|" in text
        assert re.search(rf"{user}: 1 file, 30 MB, {user}\.zip\r\n", text)
    assert text.endswith("2 exported, 0 already there, 0 failed\r\n")


async def test_in_a_terminal_a_download_has_a_bar_and_a_retry_is_shown(service: World, here: Path) -> None:
    service.file("a.jsonl", NOISE * 10)
    async with Wire(service.running.port, iter([10_000_000])) as wire:
        code, text = await in_a_terminal("download", "--user", "u-1", "a.jsonl", cwd=here, url=wire.url)
    assert code == 0
    assert re.search(r"a\.jsonl: +\d+%\|.*?\| [\d.]+M/30\.0M", text)
    assert "The transfer broke off" in text
    assert "Trying again in 1 s." in text
    assert (here / "a.jsonl").read_bytes() == NOISE * 10


async def test_without_a_terminal_there_are_no_bars(service: World, here: Path) -> None:
    service.file("a.jsonl", NOISE * 10)
    done = await run("export", "--user", "u-1", cwd=here, url=service.url("/"))
    assert done == Done(0, "u-1: 1 file, 30 MB, u-1.zip\n", "")


def test_what_stands_in_a_terminal_cannot_move_its_cursor() -> None:
    assert printable("a\x1b[2J\r\n\x07\u202eb é") == r"a\x1b[2J\r\n\x07\u202eb é"
