"""Reports: members that the service itself adds to an archive."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain
from typing import NamedTuple

from service.archive.codec import BLOCK, Codec, crc32, crc32_joined
from service.archive.framing import Entry, Framing
from service.store import Skipped

SKIPPED = "_skipped.json"
MTIME_NS = 0  # shown as the earliest time of a ZIP: archives do not depend on when they are made


class Measure(NamedTuple):
    """A text's bytes, CRC-32, and SHA-256 in hexadecimal digits."""

    size: int
    crc: int
    sha256: str


class Report:
    """A member's name and its text. The text is generated in pieces whenever it is needed: a report about a million
    files is never in memory as a whole."""

    def __init__(self, name: str, text: Callable[[], Iterable[bytes]]) -> None:
        self.name = name
        self._text = text
        self._measure: Measure | None = None

    @property
    def measure(self) -> Measure:
        """The text is generated for this, unless it was generated before."""
        while self._measure is None:
            deque(self._blocks(), maxlen=0)
        return self._measure

    def pieces(self, codec: Codec) -> Iterator[tuple[bytes, bytes]]:
        """The text in blocks, each with its bytes in the archive."""
        blocks = self._blocks()
        block, before = next(blocks), b""
        for following in chain(blocks, [None]):
            yield block, codec.deflate(block, before, following is None)
            if following is not None:
                before, block = block[len(block) - codec.window :] if codec.window else b"", following

    def framed(self, framing: Framing, codec: Codec, offset: int) -> tuple[Entry, bytes]:
        """The member with its headers, as it is at `offset` of the archive."""
        data = b"".join(data for _, data in self.pieces(codec))
        size, crc, _ = self.measure
        entry = Entry(self.name, MTIME_NS, crc, len(data), size, offset)
        return entry, framing.local(entry) + data + framing.descriptor(entry)

    def _blocks(self) -> Iterator[bytes]:
        """The text, split into blocks and measured."""
        size = crc = 0
        digest = hashlib.sha256()
        for block in _split(self._text()):
            crc = crc32_joined(crc, crc32(block), len(block))
            size += len(block)
            digest.update(block)
            yield block
        self._measure = Measure(size, crc, digest.hexdigest())


def _split(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces, joined and split into blocks like a file; an empty text is also one block."""
    kept = bytearray()
    is_empty = True
    for piece in pieces:
        kept += piece
        while len(kept) > BLOCK:
            yield bytes(kept[:BLOCK])
            del kept[:BLOCK]
            is_empty = False
    if kept or is_empty:
        yield bytes(kept)


def json_report(name: str, value: Callable[[], object]) -> Report:
    """A report whose text is JSON, made once."""
    return Report(name, cache(lambda: [json.dumps(value(), indent=1, ensure_ascii=False).encode() + b"\n"]))


def skipped_rows(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
    return [{"name": item.name, "reason": item.reason} for item in skipped]
