"""A dialect is another one as soon as the codec makes other bytes."""

from dataclasses import replace

import pytest

from service.archive.codec import CODECS, Compression
from service.archive.dialect import dialect_of


def test_each_compression_has_a_dialect_that_stays() -> None:
    dialects = [dialect_of(compression) for compression in Compression]
    assert len(set(dialects)) == len(dialects)
    assert dialects == [dialect_of(compression) for compression in Compression]


@pytest.mark.parametrize("changed", [False, True], ids=["within a member", "at its end"])
def test_other_bytes_of_the_same_length_are_another_dialect(monkeypatch: pytest.MonkeyPatch, changed: bool) -> None:
    codec = CODECS[Compression.FAST]
    before = dialect_of(Compression.FAST)

    def deflate(text: bytes, window: bytes, is_last: bool) -> bytes:
        made = codec.deflate(text, window, is_last)
        return made[::-1] if is_last is changed else made

    monkeypatch.setitem(CODECS, Compression.FAST, replace(codec, deflate=deflate))
    assert dialect_of(Compression.FAST) != before
