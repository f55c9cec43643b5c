import asyncio

import pytest

from service.http.problems import Problem
from service.transfers.admission import Admission


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


class Exports:
    """Exports that run until they are told to end."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.running: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str) -> None:
        """`name` begins with the caller's letter."""
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._run(name))
        await settle()

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await settle()

    async def _run(self, name: str) -> None:
        async with self.admission.place(name[0]):
            self.running.append(name)
            await self.ends[name].wait()
        self.running.remove(name)


async def test_at_most_so_many_run_and_the_others_wait_in_order() -> None:
    exports = Exports(Admission(2, queue_timeout=60))
    for name in ("a1", "b1", "c1", "d1", "e1"):
        await exports.ask(name)
    assert exports.running == ["a1", "b1"]
    await exports.end("a1")
    assert exports.running == ["b1", "c1"]
    await exports.end("b1")
    await exports.end("c1")
    assert exports.running == ["d1", "e1"]


async def test_a_free_place_goes_to_the_caller_who_has_the_fewest() -> None:
    exports = Exports(Admission(3, queue_timeout=60))
    for name in ("a1", "a2", "a3", "a4", "a5", "b1", "b2"):
        await exports.ask(name)
    assert exports.running == ["a1", "a2", "a3"]
    await exports.end("a1")
    assert exports.running == ["a2", "a3", "b1"]
    await exports.end("a2")
    assert exports.running == ["a3", "b1", "a4"], "as many as the other: the one who waited longest"


async def test_who_waits_too_long_is_told_when_to_come_back() -> None:
    admission = Admission(1, queue_timeout=0)
    async with admission.place("a"):
        with pytest.raises(Problem) as refused:
            async with admission.place("b"):
                pytest.fail("there was no place")
    assert refused.value.status == 503
    assert refused.value.headers == {"Retry-After": "1"}
    async with admission.place("b"):
        assert admission.waiting == 0


async def test_who_leaves_the_queue_takes_no_place_with_them() -> None:
    exports = Exports(Admission(1, queue_timeout=60))
    for name in ("a1", "b1", "c1"):
        await exports.ask(name)
    exports.tasks["b1"].cancel()
    await settle()
    await exports.end("a1")
    assert exports.running == ["c1"]


async def test_a_place_given_in_the_moment_of_leaving_is_passed_on() -> None:
    exports = Exports(Admission(1, queue_timeout=60))
    for name in ("a1", "b1", "c1"):
        await exports.ask(name)
    exports.ends["a1"].set()
    while exports.admission.waiting == 2:
        await asyncio.sleep(0)
    exports.tasks["b1"].cancel()  # it has the place, and has not run yet
    await settle()
    assert exports.running == ["c1"]
    await exports.end("c1")
    async with exports.admission.place("z"):
        assert exports.running == []
