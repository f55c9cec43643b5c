"""Bytes are written in a thread, in order, and none after the end."""

import threading
from collections.abc import Iterator

import pytest

from service.client.saver import Saver
from service.pools import Pool


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool("saver", 2)
    yield made
    made.close()


async def test_what_arrives_during_a_write_is_the_next_write(pool: Pool) -> None:
    written: list[bytes] = []
    held = threading.Event()

    def write(data: bytes) -> None:
        held.wait()
        written.append(data)

    saver = Saver(pool, write)
    for data in (b"a", b"b", b"c"):
        saver.add(data)
    await saver.drain(2)
    assert written == [], "two bytes are pending, and may be"
    held.set()
    await saver.drain()
    assert written == [b"a", b"bc"]


async def test_nothing_is_written_after_stop(pool: Pool) -> None:
    written: list[bytes] = []
    held = threading.Event()

    def write(data: bytes) -> None:
        held.wait()
        written.append(data)

    saver = Saver(pool, write)
    saver.add(b"a")
    saver.add(b"b")
    pool.run(held.set)
    await saver.stop()
    await saver.drain()
    assert written == [b"a"]


async def test_the_error_of_a_write_is_raised(pool: Pool) -> None:
    saver = Saver(pool, lambda _: int("x"))  # type: ignore[arg-type]
    saver.add(b"a")
    with pytest.raises(ValueError, match="invalid literal"):
        await saver.drain()
    await saver.stop()
