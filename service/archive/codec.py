"""Codecs: how a block of a file is deflated, by itself, so that blocks of one file can be deflated at the same time.

A deflate stream (RFC 1951) is a sequence of blocks. After a sync flush the output ends at a byte boundary, and the only
state that later blocks depend on is the last 32 KiB of the text, to which they may refer. So a file is cut into pieces,
and each piece is deflated alone: it ends with a sync flush, the last one with the final block. Concatenated, they are
one valid stream. The cost is a few bytes for each piece, and that a piece cannot refer to the text before it. Where
size matters more than speed, that text is given to the compressor as a preset dictionary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from isal import isal_zlib
from zlib_ng import zlib_ng

# Bytes. A block keeps a core busy for 3 ms; smaller ones lose more to thread switches, and compress less.
BLOCK = 1024 * 1024
WINDOW = 32 * 1024  # bytes of text before a block to which deflate can refer
# Measured on transcripts, one core: igzip's level 2 does 350 MB/s at a ratio of 3.9, level 3 half that for 4 % less;
# zlib-ng's level 6 does 65 MB/s and is 0.7 % smaller than zlib's level 6, which does 31 MB/s at 4.2.
IGZIP_LEVEL = 2
ZLIB_NG_LEVEL = 6
MEMORY_LEVEL = 9
# A text without history begins in code of igzip that hashes a register which was never set, an address
# (`write_first_byte` in igzip_icf_body_h1_gr_bt.asm): for a text in some thousands, the bytes depend on where the
# compressor lies. With a preset dictionary, the text begins in other code. A byte that the text does not have is a
# dictionary to which nothing refers, so that no decoder needs it. A text with all bytes begins with a flush instead,
# which costs 21 bytes and 5 µs.
NOT_UTF8 = b"\xff"
FLUSHED = 4  # bytes; of fewer, igzip makes no history


class Compression(StrEnum):
    """How members are compressed. `fast`: igzip; `small`: no larger than zlib's level 6; `store`: not at all."""

    FAST = "fast"
    SMALL = "small"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class Codec:
    """`deflate(text, before, is_last)` returns the piece of the stream for `text`. `before` is the text that precedes
    it, at most the last `window` bytes. The function releases the GIL.

    With `needs_crc` the piece is the text itself, and its checksum and size are in the local header.
    """

    deflate: Callable[[bytes, bytes, bool], bytes]
    window: int = 0
    needs_crc: bool = False


def _igzip(text: bytes, _before: bytes, is_last: bool) -> bytes:
    flush = isal_zlib.Z_FINISH if is_last else isal_zlib.Z_SYNC_FLUSH
    if NOT_UTF8 not in text:
        compressor = isal_zlib.compressobj(IGZIP_LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS, zdict=NOT_UTF8)
        return compressor.compress(text) + compressor.flush(flush)
    compressor = isal_zlib.compressobj(IGZIP_LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
    first = compressor.compress(text[:FLUSHED]) + compressor.flush(isal_zlib.Z_SYNC_FLUSH)
    return b"".join([first, compressor.compress(memoryview(text)[FLUSHED:]), compressor.flush(flush)])


def _zlib_ng(text: bytes, before: bytes, is_last: bool) -> bytes:
    # This library treats an empty dictionary differently from none.
    preset: Any = {"zdict": before} if before else {}
    compressor = zlib_ng.compressobj(ZLIB_NG_LEVEL, zlib_ng.DEFLATED, -zlib_ng.MAX_WBITS, MEMORY_LEVEL, **preset)
    return compressor.compress(text) + compressor.flush(zlib_ng.Z_FINISH if is_last else zlib_ng.Z_SYNC_FLUSH)


CODECS = {
    Compression.FAST: Codec(_igzip),
    Compression.SMALL: Codec(_zlib_ng, window=WINDOW),
    Compression.STORE: Codec(lambda text, _before, _is_last: text, needs_crc=True),
}


def crc32(text: bytes) -> int:
    """ZIP's checksum, at several times zlib's speed."""
    return isal_zlib.crc32(text)


def crc32_joined(first: int, second: int, second_length: int) -> int:
    """The checksum of two concatenated texts, from that of each."""
    return isal_zlib.crc32_combine(first, second, second_length)
