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


class HeldDisk:
    """Its writes wait until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.released.wait()
        self.written.append(data)


async def test_what_arrives_during_a_write_is_the_next_write(pool: Pool) -> None:
    disk = HeldDisk()
    saver = Saver(pool, disk.write)
    for data in (b"a", b"b", b"c"):
        saver.add(data)
    await saver.drain(2)
    assert disk.written == [], "two bytes are pending, and may be"
    disk.released.set()
    await saver.drain()
    assert disk.written == [b"a", b"bc"]


async def test_nothing_is_written_after_stop(pool: Pool) -> None:
    disk = HeldDisk()
    saver = Saver(pool, disk.write)
    saver.add(b"a")
    saver.add(b"b")
    pool.run(disk.released.set)
    await saver.stop()
    await saver.drain()
    assert disk.written == [b"a"]


async def test_the_error_of_a_write_is_raised(pool: Pool) -> None:
    saver = Saver(pool, lambda _: int("x"))  # type: ignore[arg-type]
    saver.add(b"a")
    with pytest.raises(ValueError, match="invalid literal"):
        await saver.drain()
    await saver.stop()
