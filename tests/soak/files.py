"""Session files that change while they are read, and whose every content can be recognised.

A file's bytes follow from its name and its version, and each length of a version is a beginning of the next. So a
body is right if it is such a beginning, of a length that the file had; wherever it came from.
"""

import hashlib
import os
import random
from dataclasses import dataclass, field
from pathlib import Path

from tests.s3 import send

SMALL, BIG = 20_000, 6_000_000  # bytes that a file begins with; the big ones are more than a socket's buffers hold
REMOVED = 500  # files whose inodes are kept, some ten seconds of changes
CANARY = b"this lies outside of the session root\n" * 100


@dataclass
class Version:
    """`least` and `most` bytes that it ever had."""

    least: int
    most: int


@dataclass
class Changing:
    name: str
    size: int
    versions: list[Version] = field(default_factory=list)


class Files:
    """The files of one user, in `directory`."""

    def __init__(self, directory: Path, chance: random.Random, small: int = 40, big: int = 3) -> None:
        self._directory = directory
        self._chance = chance
        directory.mkdir()
        self._removed = directory.parent.with_name("removed")
        self._removed.mkdir()
        self._removals = 0
        self._canary = directory.parent.with_name("canary.jsonl")
        self._canary.write_bytes(CANARY)
        sizes = {f"small-{number:03}.jsonl": SMALL for number in range(small)}
        sizes |= {f"big-{number}.jsonl": BIG for number in range(big)}
        self._files = {name: Changing(name, size) for name, size in sizes.items()}
        for file in self._files.values():
            self._replace(file)

    def any_name(self, *, big: bool = False) -> str:
        return self._chance.choice([name for name, file in self._files.items() if not big or file.size == BIG])

    def change(self) -> None:
        """One change to one file, as collectors and people make them."""
        self._change(self._chance.choice(list(self._files.values())))

    def _change(self, file: Changing) -> None:
        path = self._directory / file.name
        if not path.is_file() or path.is_symlink():
            self._replace(file)
            return
        change = self._chance.choices(
            [self._append, self._replace, self._cut, self._remove, self._link], [20, 6, 1, 2, 1]
        )[0]
        change(file)

    def explains(self, name: str, body: bytes, start: int = 0) -> bool:
        """Whether the file of this name has ever held this body from `start` on; one from 0 is taken for the whole."""
        versions = list(enumerate(self._files[name].versions))
        for number, version in reversed(versions):
            fits = start + len(body) <= version.most and (start > 0 or len(body) >= version.least)
            begins = fits and body.startswith(_content(name, number, min(start + 40, start + len(body)))[start:])
            if begins and _content(name, number, start + len(body))[start:] == body:
                return True
        return False

    def _append(self, file: Changing) -> None:
        version = file.versions[-1]
        size = version.most + self._chance.randrange(2, 20_000) // 2 * 2
        if (self._directory / file.name).stat().st_size != version.most or size > 2 * file.size:
            self._replace(file)
            return
        content = _content(file.name, len(file.versions) - 1, size)[version.most :]
        version.most = size  # before it is written: whoever reads it meanwhile is right
        with (self._directory / file.name).open("ab", buffering=0) as opened:
            opened.write(content)

    def _replace(self, file: Changing) -> None:
        size = file.size + self._chance.randrange(0, 10_000) // 2 * 2
        number = len(file.versions)
        file.versions.append(Version(size, size))
        aside = self._directory / "aside"
        aside.write_bytes(_content(file.name, number, size))
        self._keep_inode(file)
        aside.rename(self._directory / file.name)

    def _cut(self, file: Changing) -> None:
        file.versions[-1].least = 100
        os.truncate(self._directory / file.name, 100)

    def _remove(self, file: Changing) -> None:
        self._keep_inode(file)
        (self._directory / file.name).unlink()

    def _link(self, file: Changing) -> None:
        self._keep_inode(file)
        aside = self._directory / "aside"
        aside.symlink_to(self._canary)
        aside.rename(self._directory / file.name)

    def _keep_inode(self, file: Changing) -> None:
        """Keep the inode of a file that is about to be removed from being given to a new one: between its stat and its
        open, the service would take the new file for the old one grown."""
        path = self._directory / file.name
        if path.is_file() and not path.is_symlink():
            kept = self._removed / str(self._removals % REMOVED)
            kept.unlink(missing_ok=True)
            kept.hardlink_to(path)
            self._removals += 1


class Objects(Files):
    """The same files in a bucket too, under `url`: each change makes a whole new object, or deletes one."""

    def __init__(self, directory: Path, url: str, chance: random.Random, small: int = 40, big: int = 3) -> None:
        super().__init__(directory, chance, small, big)
        self._url = url
        for file in self._files.values():
            self._upload(file)

    def _change(self, file: Changing) -> None:
        super()._change(file)
        self._upload(file)

    def _upload(self, file: Changing) -> None:
        path = self._directory / file.name
        if path.is_file() and not path.is_symlink():
            send("PUT", f"{self._url}/{file.name}", path.read_bytes())
        else:
            send("DELETE", f"{self._url}/{file.name}")


def _content(name: str, version: int, size: int) -> bytes:
    """The first `size` bytes, an even number of them not needed: text that deflates to a half."""
    return hashlib.shake_128(f"{name} {version}".encode()).hexdigest((size + 1) // 2)[:size].encode()
