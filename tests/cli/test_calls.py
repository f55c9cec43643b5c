"""The commands that call a service, as a user runs them: another process, its output, its exit code."""

import asyncio
import fcntl
import json
import os
import pty
import re
import resource
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import pytest

from service.catalog import User
from service.cli.bulk import file_name
from service.cli.exits import EXAMINING, EXPORTING, SAVING, SHOWING
from service.cli.show import printable, size
from service.config import Exports
from tests.wire import Wire, flipped
from tests.world import ADMIN, NOISE, PLAIN, World

TOP = Path(__file__).parents[2]
README = (TOP / "README.md").read_text()
COMMAND = [sys.executable, "-m", "service"]
HEAVY = ("aiohttp", "duckdb", "isal", "pydantic", "stream_zip", "tqdm", "yaml")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@asynccontextmanager
async def begun(
    *arguments: str, cwd: Path, url: str, token: str = ADMIN, **more: object
) -> AsyncIterator[asyncio.subprocess.Process]:
    environ = os.environ | {"PYTHONPATH": str(TOP), "SESSION_EXPORT_URL": url, "SESSION_EXPORT_TOKEN": token}
    pipes: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, cwd=cwd, env=environ, **(pipes | more)  # type: ignore[arg-type]
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def run(*arguments: str, cwd: Path, url: str, token: str = ADMIN, **more: object) -> Done:
    async with begun(*arguments, cwd=cwd, url=url, token=token, **more) as process:
        out, err = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, (out or b"").decode(), (err or b"").decode())


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """An empty directory to run commands in."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


async def test_list_is_a_table_for_people_and_json_lines_for_scripts(service: World, here: Path) -> None:
    for number in range(201):
        service.file(f"{number:03}.jsonl", b"x" * 48_211, mtime=1_700_000_000 + number)
    await service.add_usage("gone.jsonl", primary_model="claude\x1b[2J")
    done = await run("list", "--user", "u-1", cwd=here, url=service.url("/"))
    lines = done.out.splitlines()
    assert (done.code, done.err, len(lines)) == (0, "", 203)
    assert lines[0].split() == ["STARTED", "(UTC)", "SIZE", "TOOLS", "ERRORS", "MODEL", "SESSION", "FILE"]
    assert lines[1].split() == ["2026-05-10", "12:00:00", "gone", "5", "1", r"claude\x1b[2J", "gone.jsonl"]
    assert lines[2].split() == ["2023-11-14", "22:16:40", "48.2", "kB", "-", "-", "-", "200.jsonl"]

    done = await run("list", "--user", "u-1", "--json", cwd=here, url=service.url("/"))
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert rows[:200] == (await service.get("u-1/sessions?limit=200")).json["rows"]
    assert len(rows) == 202
    done = await run("list", "--user", "u-1", "--json", "--limit", "2", cwd=here, url=service.url("/"))
    assert [json.loads(line) for line in done.out.splitlines()] == rows[:2]


async def test_activity_is_shown(service: World, here: Path) -> None:
    service.file("a.jsonl")
    await service.get("u-1/sessions/a.jsonl/download")
    done = await run("activity", "--user", "admin1", "--limit", "2", cwd=here, url=service.url("/"))
    lines = done.out.splitlines()
    assert (done.code, len(lines)) == (0, 3)
    assert re.search(r"session_download +success +\d+  127\.0\.0\.1 +users/u-1/sessions/a\.jsonl$", lines[1])
    done = await run("activity", "--user", "admin1", "--json", cwd=here, url=service.url("/"))
    assert json.loads(done.out.splitlines()[-1])["action"] == "session_download_started"


async def test_download_saves_and_leaves_alone_what_is_there(service: World, here: Path) -> None:
    service.file("a.jsonl", b"new")
    service.file("b.jsonl", NOISE)
    (here / "a.jsonl").write_text("old")
    arguments = ("download", "--user", "u-1", "a.jsonl", "b.jsonl", "b.jsonl")
    done = await run(*arguments, cwd=here, url=service.url("/"))
    assert done == Done(0, "a.jsonl: already there, a.jsonl\nb.jsonl: 3 MB, b.jsonl\n", "")
    assert ((here / "a.jsonl").read_bytes(), (here / "b.jsonl").read_bytes()) == (b"old", NOISE)
    done = await run(*arguments, "--force", "--to", "there", cwd=here, url=service.url("/"))
    assert (done.code, (here / "there" / "a.jsonl").read_bytes()) == (0, b"new")


async def test_several_users_and_a_second_run_takes_only_what_is_missing(service: World, here: Path) -> None:
    await service.add_users(*(User(f"n-{number}", f"n{number}@example.com", None) for number in range(5)))
    for number in range(4):
        service.file("a.jsonl", b"x" * 10, folder=f"n{number}")
    (here / "users").write_text("# ids\nn-0\n\nn-1\n n-2 \nn-3\nn-4\nn-0\n")
    arguments = ("export", "--user", "n-1", "--users-from", "users", "--to", "out", "--parallel", "2")
    done = await run(*arguments, cwd=here, url=service.url("/"))
    assert (done.code, names(here / "out")) == (5, ["n-0.zip", "n-1.zip", "n-2.zip", "n-3.zip"])
    *lines, summary = done.out.splitlines()
    assert sorted(lines) == [f"n-{number}: 1 file, 10 B, out/n-{number}.zip" for number in range(4)]
    assert summary == "4 exported, 0 already there, 1 failed"
    assert re.fullmatch(r"n-4: The user has no sessions directory\. \(404, request \w+\)\n", done.err)
    assert len(await service.audit("session_bulk_download")) == 4

    (here / "out" / "n-2.zip").unlink()
    service.file("b.jsonl", b"y", folder="n-4")
    done = await run(*arguments, cwd=here, url=service.url("/"))
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "2 exported, 3 already there, 0 failed"
    assert len(await service.audit("session_bulk_download")) == 6
    assert all(zipfile.ZipFile(archive).testzip() is None for archive in (here / "out").iterdir())


async def test_extract_makes_a_directory_for_each_user(service: World, here: Path) -> None:
    service.file("a.jsonl", NOISE)
    done = await run("export", "--user", "u-1", "--extract", "out", cwd=here, url=service.url("/"))
    assert done == Done(0, "u-1: 1 file, 3 MB, out/u-1\n", "")
    assert (here / "out" / "u-1" / "a.jsonl").read_bytes() == NOISE
    assert names(here / "out") == ["u-1"]


# Every exit code.


async def test_exit_0_all_is_there(service: World, here: Path) -> None:
    service.file("a.jsonl")
    assert (await run("export", "--user", "u-1", cwd=here, url=service.url("/"))).code == 0


async def test_exit_3_all_is_there_but_what_was_skipped(service: World, here: Path) -> None:
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
        (("export", "--user", "u-1", "--parallel", "0"), "--parallel"),
        (("export", "--user", ""), "no user's id is empty"),
        (("list", "--user", ""), "no user's id is empty"),
        (("export", "--user", "u-1", "--extract", "ex", "--to", "foo"), "give one of them"),
        (("list", "--user", "u-1", "--token", "secret"), "--token"),
        (("list", "--user", "u-1", "--url", "sessions.example.com"), "is not that of a service"),
        (("list", "--user", "u-1", "--token-file", "empty"), "SESSION_EXPORT_TOKEN"),
        (("list", "--user", "u-1", "--token-file", "two"), "a character that none has"),
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


async def test_exit_6_busy_or_not_there(world: World, here: Path) -> None:
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
    assert names(here) == []


def limit_of_1_mb() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))


@pytest.mark.parametrize(
    "command", [("export",), ("export", "--extract", "out"), ("download", "a.jsonl")], ids=" ".join
)
async def test_exit_8_a_file_that_can_grow_no_more(service: World, here: Path, command: tuple[str, ...]) -> None:
    service.file("a.jsonl", NOISE)
    done = await run(*command, "--user", "u-1", cwd=here, url=service.url("/"), preexec_fn=limit_of_1_mb)
    assert done.code == 8
    assert "File too large" in done.err
    assert not [path for path in here.rglob("*") if path.is_file() and not path.name.endswith(".part")]
    if command[0] == "export":
        assert not list(here.rglob("*.part"))


@pytest.mark.parametrize("command", [("export",), ("export", "--extract", "."), ("download", "a.jsonl")], ids=" ".join)
async def test_exit_8_a_full_disk(service: World, here: Path, command: tuple[str, ...]) -> None:
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", here], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("no right to mount a file system")
    try:
        service.file("a.jsonl", NOISE)
        done = await run(*command, "--user", "u-1", cwd=here, url=service.url("/"))
        assert done.code == 8
        assert "No space left on device" in done.err
        left = names(here)
    finally:
        subprocess.run(["umount", here], check=True)
    assert [name for name in left if not name.endswith(".part")] == []
    assert bool(left) == (command[0] == "download"), "what came of a single session is gone on with later"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    "command", [("export",), ("export", "--extract", "out"), ("download", "a.jsonl")], ids=" ".join
)
async def test_exit_130_and_143_leave_no_half_file_under_a_final_name(
    service: World, here: Path, command: tuple[str, ...], number: int, code: int
) -> None:
    service.file("a.jsonl", NOISE)
    async with (
        Wire(service.running.port, repeat(1_000_000), hold=True) as wire,
        begun(*command, "--user", "u-1", cwd=here, url=wire.url) as process,
    ):
        await wire.held.wait()
        while not any(path.is_file() and path.stat().st_size > 500_000 for path in here.rglob("*")):
            await asyncio.sleep(0.01)
        process.send_signal(number)
        _, err = await process.communicate()
    assert process.returncode == code
    assert b"Traceback" not in err
    left = [path.name for path in here.rglob("*") if path.name != "out"]
    if command[0] == "export":
        assert left == []
    else:
        assert [name.endswith(".part") for name in left] == [True]
        assert (await run(*command, "--user", "u-1", cwd=here, url=service.url("/"))).code == 0
        assert {path.name: path.read_bytes() for path in here.iterdir()} == {"a.jsonl": NOISE}


@pytest.mark.parametrize("count", [1, 1000], ids=["less than a buffer", "many buffers"])
async def test_exit_141_when_who_reads_the_output_has_gone(service: World, here: Path, count: int) -> None:
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
    [("list", SHOWING), ("activity", SHOWING), ("download", SAVING), ("export", EXPORTING), ("doctor", EXAMINING)],
)
def test_the_help_of_a_command_names_the_exit_codes_that_it_has(command: str, codes: dict[int, str]) -> None:
    text = subprocess.check_output([*COMMAND, command, "--help"], text=True, cwd=TOP)
    named = re.findall(r"^ +(\d+) +(.+)", text.partition("Exit codes:\n")[2], re.MULTILINE)
    assert named == [(str(code), codes[code]) for code in sorted(codes)]
    assert (3 in codes, 8 in codes) == (command == "export", command in ("export", "download"))


# What a person sees.


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


async def test_in_a_terminal_a_download_has_a_bar_and_a_retry_is_told(service: World, here: Path) -> None:
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


async def test_the_token_may_stand_in_a_file_or_come_in(service: World, here: Path) -> None:
    service.file("a.jsonl")
    (here / "token").write_text(f"{ADMIN}\n")
    arguments = ("list", "--user", "u-1", "--token-file")
    assert (await run(*arguments, "token", cwd=here, url=service.url("/"), token="wrong")).code == 0
    with (here / "token").open() as file:
        assert (await run(*arguments, "-", cwd=here, url=service.url("/"), token="", stdin=file)).code == 0


async def test_the_readmes_python_saves_an_export(service: World, here: Path) -> None:
    await service.add_users(User("u-1001", "zoe@example.com", None))
    service.file("a.jsonl", b"x" * 10, folder="zoe")
    (block,) = re.findall(r"^    import asyncio\n.*?^    asyncio\.run\(main\(\)\)\n", README, re.MULTILINE | re.DOTALL)
    program = textwrap.dedent(block).replace("http://127.0.0.1:8080", service.url("/"))
    environ = os.environ | {"PYTHONPATH": str(TOP), "SESSION_EXPORT_TOKEN": ADMIN}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=here, env=environ, stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert (process.returncode, out.decode()) == (0, "1 10 ()\n")
    assert names(here) == ["u-1001.zip"]


def imported(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=TOP)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_help_needs_none_of_the_heavy_libraries() -> None:
    loaded = imported("from service.cli import main\nmain(['--help'], standalone_mode=False)")
    assert loaded & set(HEAVY) == set()
    assert "click" in loaded


def test_the_client_needs_none_of_the_servers_libraries() -> None:
    loaded = imported("import service.cli.bulk, service.cli.show, service.client")
    assert loaded & {"duckdb", "pydantic", "pydantic_settings", "stream_zip", "aiofiles", "yaml", "zlib_ng"} == set()
    assert {"aiohttp", "isal", "tqdm"} <= loaded


def test_what_stands_in_a_terminal_cannot_move_its_cursor() -> None:
    assert printable("a\x1b[2J\r\n\x07\u202eb é") == r"a\x1b[2J\r\n\x07\u202eb é"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_499, "999 kB"), (999_500, "1 MB"), (2.8e8, "280 MB"),
     (5e15, "5e+03 TB")],
)  # fmt: skip
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text


def test_every_user_has_a_file_name_of_their_own() -> None:
    ids = ["u-1", "alice@example.com", "a/b", "a%2Fb", "..", ".", ".hidden", "%2E.", "ü", "a\nb", "\0"]
    found = [file_name(user_id) for user_id in ids]
    assert found[:2] == ids[:2]
    assert len(set(found)) == len(ids)
    assert all(re.fullmatch(r"[^/\0\n.][^/\0\n]*", name) for name in found)
