"""Session files that change in a tight loop while they are exported and downloaded: they grow, shrink, vanish, and are
replaced by other files, links, FIFOs and directories; their directory is replaced by a link.

What is outside never gets in, and what is given whole is, file by file, what stood there at one moment.
"""

import asyncio
import io
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import aiohttp
import pytest

from tests.world import Answer, World, assert_problem

pytestmark = pytest.mark.long

HOT = "hot.jsonl"  # the one that is replaced most often
NAMES = [HOT, "a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl"]
GROWING = "growing.jsonl"
LINE = 20  # bytes of each line in all of these files
MOST = 200_000  # lines of the growing one, from which on it is cut
GROWN = b"".join(b'{"line": %09d}\n' % number for number in range(MOST + 10_000))
CANARY = b'{"outside": "canary"}\n'
REASONS = {"Not a regular file.", "No such session file."}


class Changes:
    """Changes the files of a directory, again and again. All but the growing one are replaced as a whole, and each
    version has lines of its own, so that a mixture of two would be seen."""

    def __init__(self, directory: Path, outside: Path) -> None:
        """Makes both. What is outside has the names of sessions too."""
        self._directory = directory
        self._outside = outside
        self._staged = outside / "staged"
        self._away = outside / "away"
        self._random = Random(1)
        self._version = 0
        directory.mkdir(exist_ok=True)
        outside.mkdir()
        for name in (*NAMES, GROWING):
            (outside / name).write_bytes(CANARY)

    def go_on(self) -> None:
        """The fastest changes are the most frequent: those between looking at a name and opening it are meant."""
        kinds = (self._file, self._link, self._fifo, self._sub_directory, self._nothing)
        while True:
            self._random.choice(kinds)(self._directory / self._random.choice(NAMES))
            self._grow_or_shrink(self._directory / GROWING)
            for _ in range(100):
                for change in (self._small_file, self._link, self._small_file, self._nothing):
                    change(self._directory / HOT)
            for _ in range(10):
                self._lead_the_directory_outside()

    def _file(self, path: Path) -> None:
        self._write(path, self._random.choice((0, 2_000, 130_000)))  # up to several blocks of an archive

    def _small_file(self, path: Path) -> None:
        self._write(path, 3)

    def _write(self, path: Path, lines: int) -> None:
        self._version += 1
        self._staged.write_bytes(b'{"version": %06d}\n' % (self._version % 1_000_000) * lines)
        self._put(path)

    def _link(self, path: Path) -> None:
        self._staged.symlink_to(self._outside / path.name)
        self._put(path)

    def _fifo(self, path: Path) -> None:
        os.mkfifo(self._staged)
        self._put(path)

    def _sub_directory(self, path: Path) -> None:
        self._nothing(path)
        path.mkdir()

    def _nothing(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)

    def _put(self, path: Path) -> None:
        """In one step, where the file system can."""
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        self._staged.replace(path)

    def _grow_or_shrink(self, path: Path) -> None:
        """The line at each place is always the same."""
        with path.open("ab") as file:
            first = file.tell() // LINE
            if first > MOST:
                file.truncate(self._random.randrange(first) * LINE)
            else:
                end = first + self._random.choice((1, 100, 10_000))
                file.write(GROWN[first * LINE : end * LINE])

    def _lead_the_directory_outside(self) -> None:
        self._directory.rename(self._away)
        self._directory.symlink_to(self._outside)
        self._directory.unlink()
        self._away.rename(self._directory)


def assert_as_at_one_moment(name: str, data: bytes) -> None:
    assert CANARY not in data
    if name == GROWING:
        assert data == GROWN[: len(data)]
    else:
        assert data == data[:LINE] * (len(data) // LINE), "lines of two versions"


def look_into(archive: bytes, seen: Counter[str]) -> None:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        members = {name: opened.read(name) for name in opened.namelist()}
    seen["archives"] += 1
    for row in json.loads(members.pop("_skipped.json", b"[]")):
        assert row["name"] not in members
        assert row["reason"] in REASONS
        seen[row["reason"]] += 1
    for name, data in members.items():
        assert name in (*NAMES, GROWING)
        assert_as_at_one_moment(name, data)
        seen["members"] += 1


async def fetched(service: World, path: str) -> Answer | None:
    """None when it was broken off."""
    try:
        return await service.get(path)
    except aiohttp.ClientPayloadError:
        return None


@contextmanager
def changes(directory: Path, outside: Path) -> Iterator[None]:
    """In a process of their own, so that they fall between any two steps of the service."""
    command: list[str | Path] = [sys.executable, "-m", __name__, directory, outside]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as process:
        try:
            yield
            assert process.poll() is None, "the changes went on to the end"
        finally:
            process.kill()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("archives", [5, pytest.param(50, marks=pytest.mark.long)])
async def test_files_that_change_while_they_are_given(service: World, tmp_path: Path, archives: int) -> None:
    seen: Counter[str] = Counter()

    async def export() -> None:
        answer = await fetched(service, "u-1/sessions/download-all")
        if answer is not None and answer.status == 200:
            look_into(answer.body, seen)
        else:
            seen["export broken off" if answer is None else f"export {answer.status}"] += 1

    async def download(name: str) -> None:
        answer = await fetched(service, f"u-1/sessions/{name}/download")
        if answer is not None and answer.status == 200:
            assert_as_at_one_moment(name, answer.body)
        seen["download broken off" if answer is None else f"download {answer.status}"] += 1

    wanted = {"archives": archives, "download 200": 2 * archives, "download 400": 2 * archives}
    wanted |= {"download 404": archives // 2} | dict.fromkeys(REASONS, 1)
    with changes(service.root / "alice", tmp_path / "outside"):
        while any(seen[what] < times for what, times in wanted.items()):
            async with asyncio.TaskGroup() as group:
                group.create_task(export())
                for name in (*NAMES, *[HOT] * 10, GROWING):
                    group.create_task(download(name))
    assert seen.keys() <= wanted.keys() | {"members", "export broken off", "export 404", "download broken off"}


@pytest.mark.parametrize("what", ["link", "fifo", "sub_directory", "nothing"])
@pytest.mark.parametrize("path", ["download-all", f"{HOT}/download"])
async def test_what_takes_a_files_place_between_the_look_and_the_opening(
    service: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, what: str
) -> None:
    """The same at the one moment that matters most, injected there."""
    changes = Changes(service.root / "alice", tmp_path / "outside")
    target = service.file(HOT)
    really_open = os.open

    def swapped(name: str, *arguments: int, **keywords: int) -> int:
        if name == HOT:
            getattr(changes, f"_{what}")(target)
        return really_open(name, *arguments, **keywords)

    monkeypatch.setattr("service.store.local.os.open", swapped)
    answer = await service.get(f"u-1/sessions/{path}")
    if path == "download-all":
        seen: Counter[str] = Counter()
        look_into(answer.body, seen)
        assert seen["members"] == 0
        assert seen["No such session file." if what == "nothing" else "Not a regular file."] == 1
    else:
        assert_problem(answer, 404 if what == "nothing" else 400)


if __name__ == "__main__":
    Changes(Path(sys.argv[1]), Path(sys.argv[2])).go_on()
