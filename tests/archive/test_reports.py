"""The text of a report, in blocks, whatever pieces it comes in, and its size before it is made."""

import hashlib
import zlib

import pytest

from service.archive.framing import Framing
from service.archive.reports import LARGEST_BLOCK, Report

TEXT = bytes(range(256)) * 1024 * 3


SIZES = [0, 1, LARGEST_BLOCK, LARGEST_BLOCK + 1, 2 * LARGEST_BLOCK, 2 * LARGEST_BLOCK + 5]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [1000, LARGEST_BLOCK - 1, 10 * LARGEST_BLOCK])
def test_it_is_written_in_full_blocks_and_measured(size: int, piece: int) -> None:
    text = (TEXT * (size // len(TEXT) + 1))[:size]
    report = Report("a.json", lambda: [text[at : at + piece] for at in range(0, size, piece)])
    assert report.measure == (size, zlib.crc32(text), hashlib.sha256(text).hexdigest())
    blocks, packed = zip(*report.pieces(stored=False), strict=True)
    assert b"".join(blocks) == text
    assert [len(block) for block in blocks[:-1]] == [LARGEST_BLOCK] * (max(size - 1, 0) // LARGEST_BLOCK)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    assert inflater.decompress(b"".join(packed)) == text
    assert inflater.eof
    assert not inflater.unused_data
    assert list(report.pieces(stored=True)) == [(block, block) for block in blocks]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("offset", [0, 5 * 2**30])
def test_its_size_in_the_archive_is_known_before_its_text_is_made(size: int, stored: bool, offset: int) -> None:
    made: list[bytes] = []
    report = Report("a.json", lambda: made, size)
    framing = Framing(stored)
    framed_size = framing.framed_size(report.announced(framing, offset))
    made.append(bytes(size))
    assert sum(map(len, report.framed(framing, offset))) == framed_size


def test_a_text_of_another_size_than_announced_is_not_sent_as_if_it_were_whole() -> None:
    report = Report("a.json", lambda: [b"abc"], 4)
    with pytest.raises(AssertionError):
        list(report.framed(Framing(False), 0))
