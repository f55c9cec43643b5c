"""Which figures are kept, and which are never used again."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from service.archive.figures import Tally
from service.archive.remembered import Remembered


def key(number: int) -> bytes:
    return b"%d" % number


def test_the_last_that_were_used_are_kept_and_the_others_go() -> None:
    remembered = Remembered(most=10)
    for number in range(100):
        remembered.put(key(number), b"figures")
        assert remembered.get(key(0)), "used all the time"
    assert len(remembered) <= 20
    assert None not in remembered.all_of(map(key, range(90, 100)))
    assert remembered.all_of(map(key, range(1, 50))) == [None] * 49


def test_figures_are_kept_while_many_threads_add_and_look_up() -> None:
    remembered = Remembered()

    def add(thread: int) -> None:
        for number in range(500):
            remembered.put(key(thread * 1000 + number), b"%d" % number)
            assert remembered.get(key(thread * 1000 + number // 2)) == b"%d" % (number // 2)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert len(remembered) == 2000


def test_figures_may_be_large_or_empty() -> None:
    remembered = Remembered()
    figures = {b"": b"of an empty key", b"empty": b"", b"large": bytes(800_000)}
    for name, found in figures.items():
        remembered.put(name, found)
    assert remembered.all_of(figures) == list(figures.values())


def test_figures_with_a_digest_stay() -> None:
    remembered = Remembered()
    remembered.put(b"a", b"with digest")
    remembered.put(b"a", b"without")
    assert remembered.get(b"a") == b"with digest"


def test_saved_figures_that_were_wrong_are_ignored_until_they_are_made_again() -> None:
    remembered, saved = Remembered(), {b"a": b"wrong", b"b": b"right"}
    assert remembered.add_saved(saved) == saved
    remembered.forget(b"a")
    assert remembered.get(b"a") is None
    assert remembered.add_saved(saved) == {b"b": b"right"}
    assert remembered.get(b"a") is None
    remembered.put(b"a", b"made again")
    assert remembered.add_saved({b"a": b"made again"}) == {b"a": b"made again"}


@pytest.mark.parametrize(("made", "wanted", "fits"), [(True, True, True), (True, False, True), (False, True, False)])
def test_what_is_unfinished_is_taken_once_and_only_with_the_digest_that_is_needed(
    made: bool, wanted: bool, fits: bool
) -> None:
    remembered, tally = Remembered(), Tally(hashed=made)
    remembered.put_unfinished(b"a", tally)
    assert remembered.take_unfinished(b"a", hashed=wanted) is (tally if fits else None)
    assert remembered.take_unfinished(b"a", hashed=False) is None
