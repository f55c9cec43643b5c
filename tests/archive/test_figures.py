"""What a member's figures hold, and what a manifest keeps of them."""

import hashlib

from service.archive.figures import Hashed, Tally, sha256_of, was_changed

TEXTS = [b"first block", b"second block"]


def figures_of(texts: list[bytes], *, changed: bool) -> bytes:
    tally = Tally(hashed=True)
    for text in texts:
        tally.add(text, 1, 2, 3)
    return tally.figures(changed)


def test_a_manifest_keeps_digests_and_changes_of_the_rows_that_were_written() -> None:
    hashed = Hashed(4)
    hashed.put(3, figures_of(TEXTS, changed=True))
    hashed.put(0, figures_of([b""], changed=False))
    first, *skipped, last = hashed
    assert skipped == [None, None]
    assert first is not None
    assert last is not None
    assert [sha256_of(first), sha256_of(last)] == [
        hashlib.sha256(text).digest() for text in (b"", b"first blocksecond block")
    ]
    assert [was_changed(first), was_changed(last)] == [False, True]
