"""The figures of a member: sizes and checksums that were measured when it was deflated, packed into one `bytes` object.

They hold the checksum of the text, the compressed size, the compressed size and checksum of each block, and the text's
SHA-256 if a manifest needed it. From the figures of all members the length of an archive is computed, and any part of
it can be made without the parts before it. They are only a prediction: each block that is made again is compared with
them before it is sent.
"""

import hashlib
from collections.abc import Collection, Iterator
from struct import Struct

from service.archive.codec import crc32_joined

HEAD = Struct("<IQB")  # CRC-32 of the text, bytes in the archive, flags
FLAGS = HEAD.size - 1  # where they are
BLOCK_FIGURES = Struct("<II")  # bytes in the archive, and their CRC-32
SHA256_SIZE = 32
HASHED_SIZE = HEAD.size + SHA256_SIZE
HAS_SHA256, CHANGED = 1, 2


class Tally:
    """Accumulates figures: `add` a member's blocks in order, then call `figures`."""

    __slots__ = ("_blocks", "_crc", "_digest", "_packed", "size")

    def __init__(self, hashed: bool) -> None:
        """With `hashed`, the figures have the text's SHA-256."""
        self.size = 0  # bytes of text so far
        self._crc = 0
        self._packed = 0
        self._blocks = bytearray()
        self._digest = hashlib.sha256() if hashed else None

    @property
    def hashed(self) -> bool:
        return self._digest is not None

    def add(self, text: bytes, crc: int, packed: int, packed_crc: int) -> None:
        """`crc` is that of `text`, `packed` its compressed size, `packed_crc` the checksum of the compressed bytes."""
        self._crc = crc32_joined(self._crc, crc, len(text)) if self._blocks else crc
        self.size += len(text)
        self._packed += packed
        self._blocks += BLOCK_FIGURES.pack(packed, packed_crc)
        if self._digest is not None:
            self._digest.update(text)

    def figures(self, changed: bool) -> bytes:
        """`changed`: whether the file was changed while it was read."""
        flags = CHANGED if changed else 0
        if self._digest is None:
            return HEAD.pack(self._crc, self._packed, flags) + self._blocks
        return HEAD.pack(self._crc, self._packed, flags | HAS_SHA256) + self._digest.digest() + self._blocks


def has_sha256(figures: bytes) -> bool:
    return bool(figures[FLAGS] & HAS_SHA256)


class Hashed(Collection[bytes | None]):
    """For each row of an archive the beginning of its figures, which is what a manifest needs of them; None for rows
    that were not put. The figures themselves, an object for each row, would take twice the memory."""

    def __init__(self, rows: int) -> None:
        self._heads = bytearray(rows * HASHED_SIZE)

    def put(self, row: int, figures: bytes) -> None:
        """Keep the beginning of figures that have a SHA-256."""
        self._heads[row * HASHED_SIZE : (row + 1) * HASHED_SIZE] = figures[:HASHED_SIZE]

    def __len__(self) -> int:
        return len(self._heads) // HASHED_SIZE

    def __iter__(self) -> Iterator[bytes | None]:
        for at in range(0, len(self._heads), HASHED_SIZE):
            head = bytes(self._heads[at : at + HASHED_SIZE])
            yield head if has_sha256(head) else None

    def __contains__(self, head: object) -> bool:
        return any(head == found for found in self)


def sha256_of(figures: bytes) -> bytes | None:
    """The text's SHA-256, if the figures have it."""
    return figures[HEAD.size : HEAD.size + SHA256_SIZE] if has_sha256(figures) else None


def was_changed(figures: bytes) -> bool:
    """Whether the file was changed while it was read."""
    return bool(figures[FLAGS] & CHANGED)


def blocks_of(figures: bytes) -> memoryview:
    """The `BLOCK_FIGURES` of all blocks, in order."""
    start = HEAD.size + (SHA256_SIZE if has_sha256(figures) else 0)
    return memoryview(figures)[start:]
