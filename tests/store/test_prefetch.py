"""Announced reads: when they begin, in which order they may be taken, and what they may hold."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store import NotFound, Read, UserFiles
from service.store.prefetch import DEPTH, LEAST_BYTES, MOST_BYTES, Budget, Prefetch

MIB = 1024 * 1024
FILES: UserFiles = None  # type: ignore[assignment]  # nothing looks at it


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made


def reads_of(count: int, size: int) -> Iterator[tuple[UserFiles, Read]]:
    return ((FILES, Read(0, f"{number:06}", 0, size, b"1")) for number in range(count))


class Begun:
    """Counts the reads that began."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def run(self, files: UserFiles, read: Read) -> str:
        self.names.append(read.name)
        return read.name


def wait_for(begun: Begun, count: int, executor: ThreadPoolExecutor) -> None:
    """Let the executor run what it has."""
    executor.submit(int).result()
    while len(begun.names) < count:
        executor.submit(int).result()


@pytest.mark.parametrize(("size", "expected"), [(MIB, MOST_BYTES // MIB), (10, DEPTH), (MOST_BYTES + 1, 1)])
def test_so_much_is_read_in_advance(executor: ThreadPoolExecutor, size: int, expected: int) -> None:
    begun = Begun()
    prefetch = Prefetch(reads_of(2 * DEPTH, size), begun.run, executor, Budget(1024 * MIB))
    wait_for(begun, expected, executor)
    assert len(begun.names) == expected
    assert prefetch.take(0, "000000", 0) == "000000"
    wait_for(begun, expected + 1, executor)
    assert len(begun.names) == expected + 1
    prefetch.close()


def test_all_readers_share_one_budget_and_each_can_go_on(executor: ThreadPoolExecutor) -> None:
    budget = Budget(MOST_BYTES + 4 * MIB)
    begun = [Begun() for _ in range(4)]
    prefetches = [Prefetch(reads_of(100, MIB // 4), each.run, executor, budget) for each in begun]
    held = [MOST_BYTES, 6 * MIB, LEAST_BYTES, LEAST_BYTES]  # the first also has its own MiB
    for each, size in zip(begun, held, strict=True):
        wait_for(each, 4 * size // MIB, executor)
        assert len(each.names) == 4 * size // MIB
    prefetches[0].close()
    for number in range(100):
        wait_for(begun[2], number + 1, executor)
        assert prefetches[2].take(0, f"{number:06}", 0) == f"{number:06}"
    for prefetch in prefetches:
        prefetch.close()
    assert budget.take(MOST_BYTES + 4 * MIB)


def test_a_read_that_waits_for_a_thread_is_left_to_the_caller() -> None:
    held = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(held.wait)
        begun = Begun()
        prefetch = Prefetch(reads_of(3, 10), begun.run, executor, Budget(MIB))
        assert prefetch.take(0, "000000", 0) is None
        held.set()
        assert prefetch.take(0, "000002", 0) in ("000002", None)
        prefetch.close()
    assert "000000" not in begun.names


def test_an_error_is_raised_where_the_read_is_taken(executor: ThreadPoolExecutor) -> None:
    def fail(files: UserFiles, read: Read) -> str:
        raise NotFound

    prefetch = Prefetch(reads_of(1, 10), fail, executor, Budget(MIB))
    wait_for(Begun(), 0, executor)
    with pytest.raises(NotFound):
        prefetch.take(0, "000000", 0)
    assert prefetch.take(0, "000000", 0) is None
    prefetch.close()


def test_reads_that_fail_hold_nothing(executor: ThreadPoolExecutor) -> None:
    def fail(files: UserFiles, read: Read) -> str:
        raise NotFound

    budget = Budget(3 * MIB)
    prefetch = Prefetch(reads_of(100, MIB), fail, executor, budget)
    for number in range(100):
        with suppress(NotFound):
            prefetch.take(0, f"{number:06}", 0)
    prefetch.close()
    assert budget.take(3 * MIB)


@given(st.data())
def test_in_whatever_order_reads_are_taken_or_dropped_nothing_stays_held(data: st.DataObject) -> None:
    keys = st.tuples(st.integers(0, 2), st.text("abcdef", min_size=1, max_size=2))
    files = data.draw(st.dictionaries(keys, st.integers(1, 4), max_size=12))
    announced = [Read(*key, block * MIB, MIB, b"1") for key in sorted(files) for block in range(files[key])]
    budget = Budget(3 * MIB)
    with ThreadPoolExecutor(2) as executor:
        reads = ((FILES, read) for read in announced)
        prefetch = Prefetch(reads, lambda _, read: read[:3], executor, budget)
        for read in data.draw(st.permutations(announced)):
            if data.draw(st.booleans()):
                assert prefetch.take(*read[:3]) in (read[:3], None)
            else:
                prefetch.drop(read.folder, read.name)
        for key in files:
            prefetch.drop(*key)
        assert budget.take(3 * MIB)
        budget.give_back(3 * MIB)
        prefetch.close()
    assert budget.take(3 * MIB)
