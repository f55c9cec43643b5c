"""Lets a generator read a stream of chunks in pieces of the sizes that it needs."""

from collections.abc import Generator
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Reading: TypeAlias = Generator[None, None, T]

PIECE = 64 * 1024  # bytes; larger pieces inflate to more than the processor's cache holds


class Chunks:
    """The methods that read yield whenever they need the next chunk; call `push` with it and resume the generator."""

    def __init__(self) -> None:
        self.offset = 0  # of the next byte, counted from the first chunk
        self._chunk = memoryview(b"")
        self._at = 0  # in the chunk

    def push(self, chunk: bytes) -> None:
        """Add the next chunk. The one before must be used up."""
        self._chunk = memoryview(chunk)
        self._at = 0

    def read(self, count: int) -> Reading[bytes]:
        """Exactly `count` bytes."""
        end = self._at + count
        if end > len(self._chunk):
            return (yield from self._read_joined(count))
        data = bytes(self._chunk[self._at : end])
        self._at = end
        self.offset += count
        return data

    def read_piece(self) -> Reading[memoryview]:
        """The next bytes, at least one and at most PIECE."""
        while self._at == len(self._chunk):
            yield
        piece = self._chunk[self._at : self._at + PIECE]
        self._at += len(piece)
        self.offset += len(piece)
        return piece

    def unread(self, count: int) -> None:
        """Give back the end of the last piece."""
        self._at -= count
        self.offset -= count

    def _read_joined(self, count: int) -> Reading[bytes]:
        joined = bytearray()
        while len(joined) < count:
            piece = yield from self.read_piece()
            wanted = count - len(joined)
            joined += piece[:wanted]
            self.unread(max(len(piece) - wanted, 0))
        return bytes(joined)
