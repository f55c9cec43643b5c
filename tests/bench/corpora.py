"""The files that are exported: made-up transcripts of `service.cli.transcripts`, cut into sessions of many sizes.

Text is written once and sessions are cut from it at its line ends, each behind a line with its own id: no two files
are the same, and making them costs little more than writing them.
"""

import json
import random
import shutil
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path

from service.cli.transcripts import Writer

KB, MB, GB = 1000, 1000**2, 1000**3
TEXT = 48 * MB


@dataclass(frozen=True, slots=True)
class Shape:
    """`sessions` files of about `size` bytes in all; `sparse` ones are holes alone."""

    sessions: int
    size: int
    sparse: bool = False


SHAPES = {
    "a": Shape(200, 280 * MB),
    "b": Shape(10_000, 120 * MB),
    "five": Shape(5, 5 * MB),
    "small": Shape(200, 2 * MB),
    "tiny": Shape(100_000, 100 * KB),  # one byte asked for gives one line
    "single": Shape(1, GB),
    "sparse3": Shape(1, 3 * GB, sparse=True),
    "sparse8": Shape(1, 8 * GB, sparse=True),
}


@dataclass(frozen=True)
class Corpus:
    """One user's session files, in a directory that has the user's id as its name."""

    path: Path

    @property
    def user_id(self) -> str:
        return self.path.name

    @cached_property
    def files(self) -> list[Path]:
        """By name."""
        return sorted(self.path.iterdir())

    @cached_property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.files)


class Corpora:
    """All corpora below `root`, which is a session root for the service; each is made when it is first asked for."""

    def __init__(self, root: Path, scale: float) -> None:
        """Sessions and bytes are multiplied by `scale`."""
        self.root = root
        self._scale = scale

    def __getitem__(self, name: str) -> Corpus:
        path = self.root / name
        if not path.exists():
            print(f"making corpus {name} ...", file=sys.stderr)
            unfinished = self.root / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            self._make(unfinished, SHAPES[name], random.Random(name))
            unfinished.rename(path)
        return Corpus(path)

    @cached_property
    def _text(self) -> "Text":
        return Text(Writer(seed=1).session(TEXT))

    def _make(self, directory: Path, shape: Shape, chance: random.Random) -> None:
        names = Writer(seed=chance.getrandbits(32))
        count = max(1, round(shape.sessions * self._scale))
        for size in _sizes(count, shape.size * self._scale, chance):
            session_id = names.new_id()
            with (directory / f"{session_id}.jsonl").open("wb") as file:
                if shape.sparse:
                    file.truncate(size)
                else:
                    file.writelines(chain([_heading(session_id)], self._text.cut(size, chance)))


class Text:
    """Lines, to cut sessions from."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        kept = list(lines)
        self._text = memoryview(b"".join(kept))
        self._ends = list(accumulate(map(len, kept)))

    def cut(self, size: int, chance: random.Random) -> Iterator[memoryview]:
        """Whole lines from anywhere on, `size` bytes or up to one line more; after the last line comes the first."""
        start = chance.choice(self._ends[:-1])
        while size > 0:
            end = self._ends[min(bisect_left(self._ends, start + size), len(self._ends) - 1)]
            yield self._text[start:end]
            size -= end - start
            start = 0


def _sizes(count: int, total: float, chance: random.Random) -> list[int]:
    """Sizes as sessions have them, log-normal: many small, a few large."""
    weights = [chance.lognormvariate(0, 1) for _ in range(count)]
    share = total / sum(weights)
    return [max(1, round(share * weight)) for weight in weights]


def _heading(session_id: str) -> bytes:
    return json.dumps({"type": "summary", "sessionId": session_id}).encode() + b"\n"
