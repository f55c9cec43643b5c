"""Every exit code, and what the helps say of them."""

import asyncio
import os
import re
import resource
import signal
import subprocess
from itertools import repeat
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from service.cli.exit_codes import EXAMINING, EXPORTING, SAVING, SHOWING, VERIFYING
from service.config import Exports
from tests.cli.process import names, run, started
from tests.command import COMMAND, TOP
from tests.wire import Wire, flipped
from tests.world import NOISE, PLAIN, World

pytestmark = pytest.mark.long


def long(*values: object) -> ParameterSet:
    """A case that only the long run takes: each is a process of its own."""
    return pytest.param(*values, marks=pytest.mark.long)


async def test_exit_0_success(service: World, here: Path) -> None:
    service.file("a.jsonl")
    assert (await run("export", "--user", "u-1", cwd=here, url=service.url("/"))).code == 0


async def test_exit_3_files_were_skipped(service: World, here: Path) -> None:
    service.file("a.jsonl")
    (here / "u-1.zip").write_text("to be replaced")
    (service.root / "alice" / "link.jsonl").symlink_to("a.jsonl")
    done = await run("export", "--user", "u-1", "--force", cwd=here, url=service.url("/"))
    assert (done.code, done.err) == (3, "u-1: skipped link.jsonl: Not a regular file.\n")
    assert names(here) == ["u-1.zip"]


async def test_exit_1_refused(service: World, here: Path) -> None:
    def redirected(place: int, _data: bytes) -> bytes:
        answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        return answer if place == 0 else b""

    async with Wire(service.running.port, damage=redirected) as wire:
        done = await run("export", "--user", "u-1", cwd=here, url=wire.url)
    assert (done.code, done.out) == (1, "")
    assert "302" in done.err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("export",), "--users-from"),
        long(("export", "--user", "u-1", "--parallel", "0"), "--parallel"),
        long(("export", "--user", ""), "no user's id is empty"),
        long(("list", "--user", ""), "no user's id is empty"),
        long(("export", "--user", "u-1", "--extract", "ex", "--to", "foo"), "give one of them"),
        (("list", "--user", "u-1", "--token", "secret"), "--token"),
        long(("list", "--user", "u-1", "--url", "sessions.example.com"), "is not that of a service"),
        (("list", "--user", "u-1", "--token-file", "empty"), "SESSION_EXPORT_TOKEN"),
        long(("list", "--user", "u-1", "--token-file", "two"), "a character that no token has"),
        (("download", "--user", "u-1", "../a.jsonl"), "is not the name of a session file"),
    ],
)  # fmt: skip
async def test_exit_2_the_command_line_is_wrong(here: Path, arguments: tuple[str, ...], word: str) -> None:
    (here / "empty").touch()
    (here / "two").write_text("one\ntwo")
    done = await run(*arguments, cwd=here, url="http://127.0.0.1:1")
    assert done.code == 2
    assert word in done.err
    assert "Traceback" not in done.err


async def test_exit_4_not_allowed_ends_all_users(service: World, here: Path) -> None:
    done = await run("list", "--user", "u-1", cwd=here, url=service.url("/"), token=PLAIN)
    assert done.code == 4
    users = [argument for number in range(9) for argument in ("--user", f"n-{number}")]
    done = await run("export", *users, "--parallel", "1", cwd=here, url=service.url("/"), token="wrong")
    assert (done.code, done.out) == (4, "0 exported, 0 already there, 1 failed, 8 not done\n")


async def test_exit_5_not_found(service: World, here: Path) -> None:
    for command in (("list",), ("activity",), ("export",), ("download", "a.jsonl")):
        done = await run(*command, "--user", "nobody", cwd=here, url=service.url("/"))
        assert (done.code, done.out, done.err.count("\n")) == (5, "", 1)
        assert "User not found" in done.err
    assert names(here) == []


async def test_exit_6_busy_or_not_running(world: World, here: Path) -> None:
    world.exports = Exports(max_concurrent=1, queue_timeout=0)
    await world.start()
    world.file("a.jsonl", NOISE * 5)
    async with world.request("u-1/sessions/download-all") as other:
        await other.content.readany()
        done = await run("export", "--user", "u-1", "--retries", "0", cwd=here, url=world.url("/"))
    assert done.code == 6
    assert "As many exports are running as the service allows" in done.err
    assert (await run("list", "--user", "x", "--retries", "0", cwd=here, url="http://127.0.0.1:1")).code == 6


@pytest.mark.parametrize("how", ["damaged", "broken off"])
async def test_exit_7_damaged_or_broken_off(service: World, here: Path, how: str) -> None:
    service.file("a.jsonl", NOISE)
    kinds = {
        "damaged": Wire(service.running.port, damage=flipped(1_500_000)),
        "broken off": Wire(service.running.port, repeat(9_000)),
    }
    async with kinds[how] as wire:
        done = await run("export", "--user", "u-1", "--retries", "0", cwd=here, url=wire.url)
    assert (done.code, done.out) == (7, "")
    assert re.match(r"u-1: The (archive is damaged: a\.jsonl|transfer broke off: )", done.err)
    assert complete(here) == []


def complete(directory: Path) -> list[str]:
    """Files under a final name: neither they nor a directory above them is temporary."""
    files = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return [str(file) for file in files if not any(part.endswith(".part") for part in file.parts)]


def resumable(directory: Path) -> bool:
    """Whether there is a partial file that the same command resumes."""
    return any(path.name.endswith(".part") for path in directory.rglob("*"))


EXTRACT = ("export", "--extract", "out")
each_way_to_save = pytest.mark.parametrize("command", [("export",), long(EXTRACT), long(("download", "a.jsonl"))])


def limit_of_1_mb() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))


@each_way_to_save
async def test_exit_8_a_file_that_cannot_grow(service: World, here: Path, command: tuple[str, ...]) -> None:
    service.file("a.jsonl", NOISE)
    done = await run(*command, "--user", "u-1", cwd=here, url=service.url("/"), prepare=limit_of_1_mb)
    assert done.code == 8
    assert "File too large" in done.err
    assert complete(here) == []
    assert resumable(here) == ("--extract" not in command)


@each_way_to_save
async def test_exit_8_a_full_disk(service: World, here: Path, command: tuple[str, ...]) -> None:
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", here], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("no right to mount a file system")
    try:
        service.file("a.jsonl", NOISE)
        done = await run(*command, "--user", "u-1", cwd=here, url=service.url("/"))
        assert done.code == 8
        assert "No space left on device" in done.err
        assert complete(here) == []
        assert resumable(here) == ("--extract" not in command)
    finally:
        subprocess.run(["umount", here], check=True)


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        (("export",), signal.SIGINT, 130),
        long(("export",), signal.SIGTERM, 143),
        long(EXTRACT, signal.SIGINT, 130),
        long(EXTRACT, signal.SIGTERM, 143),
        long(("download", "a.jsonl"), signal.SIGINT, 130),
        (("download", "a.jsonl"), signal.SIGTERM, 143),
    ],
)
async def test_exit_130_and_143_leave_no_partial_file_under_a_final_name(
    service: World, here: Path, command: tuple[str, ...], number: int, code: int
) -> None:
    service.file("a.jsonl", NOISE)
    async with (
        Wire(service.running.port, repeat(1_000_000), hold=True) as wire,
        started(*command, "--user", "u-1", cwd=here, url=wire.url) as process,
    ):
        await wire.held.wait()
        while not any(path.is_file() and path.stat().st_size > 500_000 for path in here.rglob("*")):
            await asyncio.sleep(0.01)
        process.send_signal(number)
        _, err = await process.communicate()
    assert process.returncode == code
    assert b"Traceback" not in err
    assert complete(here) == []
    assert resumable(here) == ("--extract" not in command)
    assert (await run(*command, "--user", "u-1", cwd=here, url=service.url("/"))).code == 0
    assert not resumable(here)


@pytest.mark.parametrize("count", [long(1), 1000], ids=["less than a buffer", "many buffers"])
async def test_exit_141_when_the_reader_of_the_output_has_ended(service: World, here: Path, count: int) -> None:
    """As in `session-export list | head -1`."""
    for number in range(count):
        service.file(f"{number}.jsonl")
    for command in ("list", "export"):
        read, write = os.pipe()
        os.close(read)
        try:
            done = await run(command, "--user", "u-1", cwd=here, url=service.url("/"), stdout=write)
        finally:
            os.close(write)
        assert (done.code, done.err) == (141, "")


def test_every_exit_code_that_a_help_names_has_a_test() -> None:
    codes = {str(code) for code in SHOWING | SAVING | EXPORTING}
    tested = set(re.findall(r"^async def test_exit_(\d+)", Path(__file__).read_text(), re.MULTILINE))
    assert codes == tested


@pytest.mark.parametrize(
    ("command", "codes"),
    [
        ("list", SHOWING),
        ("activity", SHOWING),
        ("download", SAVING),
        ("export", EXPORTING),
        ("doctor", EXAMINING),
        ("verify", VERIFYING),
    ],
)
def test_the_help_of_a_command_names_the_exit_codes_that_it_has(command: str, codes: dict[int, str]) -> None:
    text = subprocess.check_output([*COMMAND, command, "--help"], text=True, cwd=TOP)
    named = re.findall(r"^ +(\d+) +(.+)", text.partition("Exit codes:\n")[2], re.MULTILINE)
    assert named == [(str(code), codes[code]) for code in sorted(codes)]
    assert (3 in codes, 8 in codes) == (command in ("export", "verify"), command in ("export", "download"))
