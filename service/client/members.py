"""The members that were read from an archive, in parallel columns: an archive may have a million of them."""

from array import array
from typing import NamedTuple

SHA256 = 32  # bytes


class Entry(NamedTuple):
    """The fields in which a member and its entry in the central directory must agree. Sizes and offset are bytes."""

    name: str
    crc: int
    packed: int
    size: int
    offset: int


class Members:
    """In the archive's order. `digests` holds SHA256 bytes for each member, or none at all."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.crcs = array("I")
        self.sizes = array("q")
        self.packed_sizes = array("q")
        self.offsets = array("q")
        self.digests = bytearray()

    def __len__(self) -> int:
        return len(self.names)

    def append(self, entry: Entry, digest: bytes) -> None:
        self.names.append(entry.name)
        self.crcs.append(entry.crc)
        self.packed_sizes.append(entry.packed)
        self.sizes.append(entry.size)
        self.offsets.append(entry.offset)
        self.digests += digest

    def entry(self, index: int) -> Entry:
        return Entry(
            self.names[index],
            self.crcs[index],
            self.packed_sizes[index],
            self.sizes[index],
            self.offsets[index],
        )

    def digest(self, index: int) -> bytes:
        return bytes(self.digests[index * SHA256 : (index + 1) * SHA256])
