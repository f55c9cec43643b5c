"""Archives in the programs that people open them with: one of each kind, and every member compared with its file.

The table of ZIP clients in docs/client.md says what is found here. The largest archives take each program seconds;
their tests run with `pytest -m long`.
"""

import asyncio
import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import IO, NamedTuple

import pytest
from isal import isal_zlib
from stream_unzip import stream_unzip

from service.archive import Compression
from service.cli.transcripts import Writer
from tests.world import World

pytestmark = pytest.mark.long

PIECE = 1024 * 1024  # bytes
EMPTY = 22  # bytes of an archive without members: the end of its central directory
JAVA = Path(__file__).with_name("Members.java")
REPORT = b"""[
  {"name": "fifo.jsonl", "reason": "Not a regular file."},
  {"name": "\xc3\xa9.jsonl", "reason": "The name is not that of a session file."}]
"""


class Content(NamedTuple):
    """What is in an archive: the names in order, and size and CRC-32 of all their data in that order."""

    names: list[str]
    size: int
    crc: int


class Refused(Exception):
    """A program does not take the archive."""


def empty(_: Path) -> None:
    """A user who has a directory and no sessions."""


def one(directory: Path) -> None:
    (directory / "6f1c.jsonl").write_bytes(b"".join(Writer(seed=1).session(3_000_000)))


def around_the_blocks(directory: Path) -> None:
    (directory / "a.jsonl").write_bytes(os.urandom(2 * PIECE + 7))
    (directory / "b.jsonl").touch()
    (directory / "c.jsonl").write_bytes(b"small")


def ten_thousand(directory: Path) -> None:
    for number in range(10_000):
        (directory / f"{number}.jsonl").write_bytes(b'{"number": %d}\n' % number)


def names_at_the_limits(directory: Path) -> None:
    for name in ("a" * 249, "-rf", "--help", ".", "..", ".hidden", "CON", "A", "a", "a.jsonl", "_skipped.json"):
        (directory / f"{name}.jsonl").write_text(name)


def skipped(directory: Path) -> None:
    (directory / "a.jsonl").write_bytes(b"a session\n")
    (directory / "é.jsonl").write_bytes(b"not one that can be given\n")
    os.mkfifo(directory / "fifo.jsonl")


def incompressible(directory: Path) -> None:
    (directory / "a.jsonl").write_bytes(os.urandom(3_000_000))


def more_than_65_535(directory: Path) -> None:
    """The first one empty: were ZIP64 on it, Java's ZipInputStream would end there without an exception."""
    for number in range(65_536):
        (directory / f"{number}.jsonl").write_bytes(b"%d\n" % number if number else b"")


def more_than_4_gib(directory: Path) -> None:
    """A hole of the file system, and a small file after it."""
    (directory / "huge.jsonl").touch()
    os.truncate(directory / "huge.jsonl", 2**32 + 12_345)
    (directory / "small.jsonl").write_bytes(b"small")


def small_behind_4_gib(directory: Path) -> None:
    """A member that needs ZIP64 for its place alone."""
    with (directory / "huge.jsonl").open("wb") as huge:
        for piece in repeat(os.urandom(PIECE), 4097):
            huge.write(piece)
    (directory / "small.jsonl").write_bytes(b"small")


def unzip(archive: Path) -> Content:
    if archive.stat().st_size == EMPTY:  # it opens it, says "zipfile is empty", and exits with 1, a warning
        done = subprocess.run(["unzip", "-tq", archive], capture_output=True, text=True, check=False)
        assert (done.returncode, "zipfile is empty" in done.stdout) == (1, True)
        return Content([], 0, 0)
    return _listed(["unzip", "-Z1", archive], ["unzip", "-p", archive])


def seven_zip(archive: Path) -> Content:
    lines = _lines(["7z", "l", "-ba", "-slt", archive])
    names = [line.removeprefix("Path = ") for line in lines if line.startswith("Path = ")]
    return Content(names, *_read(["7z", "x", "-so", archive]))


def bsdtar(archive: Path) -> Content:
    """From a pipe, so that it cannot look at the end first."""
    piped: list[str | Path] = ["sh", "-c", 'cat "$1" | bsdtar "$2" -', "sh", archive]
    return _listed([*piped, "-tf"], [*piped, "-xOf"])


def python_zipfile(archive: Path) -> Content:
    with zipfile.ZipFile(archive) as opened:
        return digest((info.filename, _pieces(opened.open(info))) for info in opened.infolist())


def python_stream_unzip(archive: Path) -> Content:
    members = stream_unzip(_pieces(archive.open("rb")), chunk_size=PIECE)
    return digest((name.decode(), pieces) for name, _, pieces in members)


def java_zip_file(archive: Path) -> Content:
    return _java("file", archive)


def java_zip_input_stream(archive: Path) -> Content:
    return _java("stream", archive)


SMALL_KINDS = (empty, one, names_at_the_limits, skipped, incompressible)
MANY_MEMBERS = (ten_thousand, more_than_65_535)
HUGE_KINDS = (more_than_4_gib, small_behind_4_gib)
CLIENTS: dict[Callable[[Path], Content], str] = {
    unzip: "unzip",
    seven_zip: "7z",
    bsdtar: "bsdtar",
    python_zipfile: sys.executable,
    python_stream_unzip: sys.executable,
    java_zip_file: "javac",
    java_zip_input_stream: "javac",
}
# It reads data descriptors of ZIP64 only after members that are themselves larger than 4 GiB, and a member behind 4 GiB
# has one, too. A stored member has none, and it reads all.
CANNOT: set[tuple[Callable[[Path], Content], Callable[[Path], None], str]] = {
    (java_zip_input_stream, small_behind_4_gib, "fast")
}


def digest(members: Iterable[tuple[str, Iterable[bytes]]]) -> Content:
    names, size, crc = [], 0, 0
    for name, pieces in members:
        names.append(name)
        for piece in pieces:
            size += len(piece)
            crc = isal_zlib.crc32(piece, crc)
    return Content(names, size, crc)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE):
            yield piece


def _listed(names: list[str | Path], data: list[str | Path]) -> Content:
    return Content(_lines(names), *_read(data))


def _lines(command: list[str | Path]) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout.splitlines()


def _read(command: list[str | Path]) -> tuple[int, int]:
    """Size and CRC-32 of all data that it puts out."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        _, size, crc = digest([("", _pieces(process.stdout))])
    if process.returncode:
        raise Refused(f"{command} {process.returncode}")
    return size, crc


def _java(how: str, archive: Path) -> Content:
    """Java has no program for it, but the two classes that Java programs use."""
    lines = _lines(["java", "-XX:TieredStopAtLevel=1", "-cp", _compiled(), "Members", how, archive])
    return Content(lines[:-1], *map(int, lines[-1].split()))


@cache
def _compiled() -> Path:
    """The directory with the class, made once a process."""
    directory = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, directory)
    subprocess.run(["javac", "-d", directory, JAVA], check=True)
    return directory


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> "Archives":
    return Archives(tmp_path_factory.mktemp("archives"))


class Archives:
    """An export of each kind, made when it is first asked for, and what must be in it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._made: dict[str, tuple[Path, Content]] = {}

    def get(self, kind: Callable[[Path], None], compression: str = "fast") -> tuple[Path, Content]:
        name = f"{kind.__name__}-{compression}"
        if name not in self._made:
            directory = self._directory / name
            directory.mkdir()
            archive = asyncio.run(_export(directory, kind, compression))
            self._made[name] = archive, digest(_files(directory / "root" / "alice"))
        return self._made[name]


async def _export(directory: Path, kind: Callable[[Path], None], compression: str) -> Path:
    archive = directory / "export.zip"
    async with AsyncExitStack() as stack:
        service = await World(directory, stack).start()
        (service.root / "alice").mkdir()
        kind(service.root / "alice")
        async with service.request(f"u-1/sessions/download-all?compression={compression}") as response:
            assert response.status == 200
            with archive.open("wb") as file:
                async for piece in response.content.iter_any():
                    file.write(piece)
    return archive


def _files(directory: Path) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The user's files, as they must stand in the archive."""
    paths = [path for path in sorted(directory.iterdir()) if path.is_file() and path.name.isascii()]
    yield from ((path.name, _pieces(path.open("rb"))) for path in paths)
    if len(paths) < len(list(directory.iterdir())):
        yield "_skipped.json", [REPORT]


each_client = pytest.mark.parametrize(
    "client",
    [
        pytest.param(
            client, marks=pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")
        )
        for client, program in CLIENTS.items()
    ],
)


@each_client
@pytest.mark.parametrize("kind", [*SMALL_KINDS, *(pytest.param(kind, marks=pytest.mark.long) for kind in MANY_MEMBERS)])
def test_every_member_is_its_file(
    archives: Archives, client: Callable[[Path], Content], kind: Callable[[Path], None]
) -> None:
    archive, expected = archives.get(kind)
    assert client(archive) == expected


@each_client
@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("compression", ["fast", "store"])
@pytest.mark.parametrize("kind", HUGE_KINDS)
def test_every_member_behind_4_gib_is_its_file(
    archives: Archives, client: Callable[[Path], Content], kind: Callable[[Path], None], compression: str
) -> None:
    archive, expected = archives.get(kind, compression)
    if (client, kind, compression) in CANNOT:
        with pytest.raises(Refused):
            client(archive)
    else:
        assert client(archive) == expected


@each_client
@pytest.mark.parametrize("compression", Compression)
def test_every_member_is_its_file_however_it_is_compressed(
    archives: Archives, client: Callable[[Path], Content], compression: Compression
) -> None:
    archive, expected = archives.get(around_the_blocks, compression.value)
    assert client(archive) == expected
