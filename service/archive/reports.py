"""Members that the service writes itself."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from service.archive.codec import BLOCK, Codec, crc32, crc32_joined
from service.archive.framing import Entry, Framing
from service.store import Skipped

SKIPPED = "_skipped.json"
MTIME_NS = 0  # the earliest that a ZIP can hold: nothing in an archive says when it was made


class Measure(NamedTuple):
    """A text's bytes, CRC-32, and SHA-256 in hexadecimal digits."""

    size: int
    crc: int
    sha256: str


@dataclass(frozen=True)
class Report:
    """A member's name and its text, in pieces that are made anew whenever they are needed: a report of a million files
    is never in memory as a whole."""

    name: str
    text: Callable[[], Iterable[bytes]]

    @cached_property
    def measure(self) -> Measure:
        """Makes the text once."""
        size = crc = 0
        digest = hashlib.sha256()
        for block in self._blocks():
            crc = crc32_joined(crc, crc32(block), len(block))
            size += len(block)
            digest.update(block)
        return Measure(size, crc, digest.hexdigest())

    def pieces(self, codec: Codec) -> Iterator[tuple[bytes, bytes]]:
        """The text in blocks, each with the bytes that the archive has for it."""
        blocks = self._blocks()
        block, before = next(blocks), b""
        for following in chain(blocks, [None]):
            yield block, codec.deflate(block, before, following is None)
            if following is not None:
                before, block = block[len(block) - codec.window :] if codec.window else b"", following

    def framed(self, framing: Framing, codec: Codec, offset: int) -> tuple[Entry, bytes]:
        """The member as it is at `offset` of the archive, with all that stands around it."""
        data = b"".join(data for _, data in self.pieces(codec))
        size, crc, _ = self.measure
        entry = Entry(self.name, MTIME_NS, crc, len(data), size, offset)
        return entry, framing.local(entry) + data + framing.descriptor(entry)

    def _blocks(self) -> Iterator[bytes]:
        """The text, cut like a file; an empty text is one block, too."""
        kept = bytearray()
        is_empty = True
        for piece in self.text():
            kept += piece
            while len(kept) > BLOCK:
                yield bytes(kept[:BLOCK])
                del kept[:BLOCK]
                is_empty = False
        if kept or is_empty:
            yield bytes(kept)


def json_report(name: str, value: object) -> Report:
    """A report of a JSON text."""
    text = json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"
    return Report(name, lambda: [text])


def skipped_rows(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
    return [{"name": item.name, "reason": item.reason} for item in skipped]
