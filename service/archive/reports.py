"""Reports: members that the service itself adds to an archive.

They are not compressed, so that their size is known from that of their text: the length of an archive is announced
before the report that lists its members is made. Where the other members are deflated, a report consists of deflate's
stored blocks (RFC 1951 section 3.2.4), as its checksum then follows the data: the text is made once, while it is sent.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain
from struct import Struct
from typing import NamedTuple

from service.archive.codec import crc32, crc32_joined
from service.archive.framing import Entry, Framing
from service.store import Skipped

SKIPPED = "_skipped.json"
MTIME_NS = 0  # shown as the earliest time of a ZIP: archives do not depend on when they are made
BLOCK_HEADER = Struct("<BHH")  # whether it is the last one, the length, and the length's complement
LARGEST_BLOCK = 0xFFFF  # bytes of text
ENCODE = json.JSONEncoder(ensure_ascii=False).encode  # `json.dumps` with an indent takes twice as long


class Measure(NamedTuple):
    """A text's bytes, CRC-32, and SHA-256 in hexadecimal digits."""

    size: int
    crc: int
    sha256: str


class Report:
    """A member's name and its text. The text is generated in pieces whenever it is needed: a report about a million
    files is never in memory as a whole."""

    def __init__(self, name: str, text: Callable[[], Iterable[bytes]], size: int | None = None) -> None:
        """`size` is that of the text in bytes, if it is known before the text is generated."""
        self.name = name
        self._text = text
        self._size = size
        self._measure: Measure | None = None

    @property
    def size(self) -> int:
        """Bytes of the text."""
        return self.measure.size if self._size is None else self._size

    @property
    def measure(self) -> Measure:
        """The text is generated for this, unless it was generated before."""
        while self._measure is None:
            deque(self._blocks(), maxlen=0)
        return self._measure

    def pieces(self, *, stored: bool) -> Iterator[tuple[bytes, bytes]]:
        """The text in blocks, each with its bytes in the archive. `stored`: the members are not deflated."""
        blocks = self._blocks()
        block = next(blocks)
        for following in chain(blocks, [None]):
            yield block, block if stored else _stored_block(block, following is None)
            block = following or b""

    def announced(self, framing: Framing, offset: int) -> Entry:
        """The header fields that are known before the text is generated: all but the checksum."""
        blocks = max(-(-self.size // LARGEST_BLOCK), 1)
        packed = self.size if framing.stored else self.size + blocks * BLOCK_HEADER.size
        return Entry(self.name, MTIME_NS, 0, packed, self.size, offset)

    def entry(self, framing: Framing, offset: int) -> Entry:
        """All header fields. The text is generated for this, unless it was generated before."""
        return self.announced(framing, offset)._replace(crc=self.measure.crc)

    def framed(self, framing: Framing, offset: int) -> Iterator[bytes]:
        """The member with its headers, in pieces."""
        yield framing.local((self.entry if framing.stored else self.announced)(framing, offset))
        for _, data in self.pieces(stored=framing.stored):
            yield data
        yield framing.descriptor(self.entry(framing, offset))

    def _blocks(self) -> Iterator[bytes]:
        """The text, split into blocks and measured."""
        size = crc = 0
        digest = hashlib.sha256()
        for block in _split(self._text()):
            crc = crc32_joined(crc, crc32(block), len(block))
            size += len(block)
            digest.update(block)
            yield block
        assert self._size in (None, size)  # noqa: S101 - else the announced length is wrong
        self._measure = Measure(size, crc, digest.hexdigest())


def _stored_block(text: bytes, is_last: bool) -> bytes:
    return BLOCK_HEADER.pack(is_last, len(text), len(text) ^ LARGEST_BLOCK) + text


def _split(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces, joined and split into blocks; an empty text is also one block."""
    kept = bytearray()
    is_empty = True
    for piece in pieces:
        kept += piece
        while len(kept) > LARGEST_BLOCK:
            yield bytes(kept[:LARGEST_BLOCK])
            del kept[:LARGEST_BLOCK]
            is_empty = False
    if kept or is_empty:
        yield bytes(kept)


def json_report(name: str, value: Callable[[], object]) -> Report:
    """A report whose text is JSON, made once."""
    return Report(name, cache(lambda: [json_text(value())]))


def json_text(value: object) -> bytes:
    """JSON in which the fields of the object and the items of its lists have a line each."""
    if isinstance(value, dict):
        fields = ",\n".join(f" {ENCODE(name)}: {_in_lines(field)}" for name, field in value.items())
        return f"{{\n{fields}\n}}\n".encode()
    return f"{_in_lines(value)}\n".encode()


def _in_lines(value: object) -> str:
    if isinstance(value, list):
        return "[" + ",".join(f"\n  {ENCODE(item)}" for item in value) + "]"
    return ENCODE(value)


def skipped_rows(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
    return [{"name": item.name, "reason": item.reason} for item in skipped]
