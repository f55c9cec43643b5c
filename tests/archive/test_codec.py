"""Compressed bytes are the same wherever and whenever a block is deflated, and any decoder reads them."""

import random
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.archive.codec import CODECS, Compression

DEFLATED = [Compression.FAST, Compression.SMALL]
TEXTS = [b"", b"\xff", b"{}\n", b"\xff" * 1000, b'{"type":"user"}\n' * 5_000, bytes(range(256)) * 5_000]


@pytest.mark.long
@pytest.mark.parametrize("end", [b"", b"\xff"])
@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("compression", DEFLATED)
def test_a_block_is_the_same_bytes_in_every_thread(compression: Compression, is_last: bool, end: bytes) -> None:
    """In another thread, the compressor lies at another address. Of igzip alone, 10 to 20 of these texts differ."""
    chance = random.Random(0)
    deflate = CODECS[compression].deflate
    with ThreadPoolExecutor(1) as other:
        for _ in range(60_000 if compression is Compression.FAST else 1_000):
            first, second, third = (chance.randbytes(size).hex().encode() for size in (6, 300, 200))
            text = first + second + first + third + end
            assert deflate(text, b"", is_last) == other.submit(deflate, text, b"", is_last).result()


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("compression", DEFLATED)
def test_blocks_are_one_stream_that_zlib_inflates(compression: Compression, text: bytes) -> None:
    deflate = CODECS[compression].deflate
    stream = deflate(text, b"", False) + deflate(text, text[-CODECS[compression].window :], True)
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    assert decompressor.decompress(stream) == text + text
    assert decompressor.eof
