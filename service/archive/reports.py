"""Members that the service writes itself: a report is a name and a text."""

from collections.abc import Iterator
from typing import NamedTuple

from service.archive.codec import BLOCK, Codec, crc32
from service.archive.framing import Entry, Framing

MTIME_NS = 0  # the earliest that a ZIP can hold: nothing in an archive says when it was made


class Report(NamedTuple):
    name: str
    text: bytes

    def pieces(self, codec: Codec) -> Iterator[tuple[bytes, bytes]]:
        """The text in blocks, each with the bytes that the archive has for it."""
        text = self.text
        for offset in range(0, max(len(text), 1), BLOCK):
            block = text[offset : offset + BLOCK]
            before = text[max(offset - codec.window, 0) : offset]
            yield block, codec.deflate(block, before, offset + BLOCK >= len(text))

    def framed(self, framing: Framing, codec: Codec, offset: int) -> tuple[Entry, bytes]:
        """The member as it is at `offset` of the archive, with all that stands around it."""
        data = b"".join(data for _, data in self.pieces(codec))
        entry = Entry(self.name, MTIME_NS, crc32(self.text), len(data), len(self.text), offset)
        return entry, framing.local(entry) + data + framing.descriptor(entry)
