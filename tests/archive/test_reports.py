"""The text of a report, in blocks, whatever pieces it comes in."""

import hashlib
import zlib

import pytest

from service.archive.codec import BLOCK, CODECS, Compression
from service.archive.reports import Report

TEXT = bytes(range(256)) * 1024 * 3


@pytest.mark.parametrize("size", [0, 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 5])
@pytest.mark.parametrize("piece", [1000, BLOCK - 1, 10 * BLOCK])
def test_it_is_compressed_in_full_blocks_and_measured(size: int, piece: int) -> None:
    text = (TEXT * (size // len(TEXT) + 1))[:size]
    report = Report("a.json", lambda: [text[at : at + piece] for at in range(0, size, piece)])
    assert report.measure == (size, zlib.crc32(text), hashlib.sha256(text).hexdigest())
    blocks, packed = zip(*report.pieces(CODECS[Compression.FAST]), strict=True)
    assert b"".join(blocks) == text
    assert [len(block) for block in blocks[:-1]] == [BLOCK] * (max(size - 1, 0) // BLOCK)
    assert zlib.decompress(b"".join(packed), -zlib.MAX_WBITS) == text
