import asyncio
import os
import socket
from contextlib import ExitStack

import pytest

from service.config import Exports as ExportSettings
from service.http.problems import Problem
from service.transfers.admission import ADMISSION, Admission
from tests.world import ADMIN, World, token

EXPORT = "u-1/sessions/download-all"


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


class Exports:
    """Exports that run until the test ends them.

    A name is the caller's letter, a number, and a key where the slot is shared.
    """

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.running: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str) -> None:
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._run(name))
        await settle()

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await settle()

    async def _run(self, name: str) -> None:
        async with self.admission.slot(name[0], name[2:] or None):
            self.running.append(name)
            await self.ends[name].wait()
        self.running.remove(name)


async def test_at_most_so_many_run_and_the_others_wait_in_order() -> None:
    exports = Exports(Admission(2, 2, queue_timeout=60))
    for name in ("a1", "b1", "c1", "d1", "e1"):
        await exports.ask(name)
    assert exports.running == ["a1", "b1"]
    await exports.end("a1")
    assert exports.running == ["b1", "c1"]
    await exports.end("b1")
    await exports.end("c1")
    assert exports.running == ["d1", "e1"]


async def test_a_free_slot_goes_to_the_caller_who_has_the_fewest() -> None:
    exports = Exports(Admission(3, 3, queue_timeout=60))
    for name in ("a1", "a2", "a3", "a4", "a5", "b1", "b2"):
        await exports.ask(name)
    assert exports.running == ["a1", "a2", "a3"]
    await exports.end("a1")
    assert exports.running == ["a2", "a3", "b1"]
    await exports.end("a2")
    assert exports.running == ["a3", "b1", "a4"], "as many as the other: the one who waited longest"


async def test_a_request_that_waits_too_long_gets_503_with_retry_after() -> None:
    admission = Admission(1, 1, queue_timeout=0)
    async with admission.slot("a"):
        with pytest.raises(Problem) as refused:
            async with admission.slot("b"):
                pytest.fail("there was no slot")
    assert refused.value.status == 503
    assert refused.value.headers == {"Retry-After": "1"}
    async with admission.slot("b"):
        assert admission.waiting == 0


async def test_a_request_cancelled_in_the_queue_takes_no_slot() -> None:
    exports = Exports(Admission(1, 1, queue_timeout=60))
    for name in ("a1", "b1", "c1"):
        await exports.ask(name)
    exports.tasks["b1"].cancel()
    await settle()
    await exports.end("a1")
    assert exports.running == ["c1"]


async def test_a_slot_given_at_the_moment_of_cancellation_is_passed_on() -> None:
    exports = Exports(Admission(1, 1, queue_timeout=60))
    for name in ("a1", "b1", "c1"):
        await exports.ask(name)
    exports.ends["a1"].set()
    while exports.admission.waiting == 2:
        await asyncio.sleep(0)
    exports.tasks["b1"].cancel()  # it has the slot, and has not run yet
    await settle()
    assert exports.running == ["c1"]
    await exports.end("c1")
    async with exports.admission.slot("z"):
        assert exports.running == []


async def test_a_caller_at_their_limit_waits_while_slots_are_free() -> None:
    exports = Exports(Admission(4, 2, queue_timeout=60))
    for name in ("a1", "a2", "a3", "b1"):
        await exports.ask(name)
    assert exports.running == ["a1", "a2", "b1"]
    await exports.end("b1")
    assert exports.running == ["a1", "a2"], "a slot that others gave back is not for a caller at their limit"
    await exports.end("a1")
    assert exports.running == ["a2", "a3"]


async def test_a_caller_at_their_limit_is_told_so() -> None:
    admission = Admission(4, 1, queue_timeout=0)
    async with admission.slot("a"):
        with pytest.raises(Problem, match="1 exports running, as many as one caller may"):
            async with admission.slot("a"):
                pytest.fail("the caller has one already")
        async with admission.slot("b"):
            assert admission.running == 2
    assert (admission.running, admission.refused) == (0, 1)


async def test_transfers_of_one_caller_with_the_same_key_share_a_slot() -> None:
    exports = Exports(Admission(1, 1, queue_timeout=60))
    for name in ("a1p", "a2p", "a3q", "b1p", "a4p"):
        await exports.ask(name)
    assert exports.running == ["a1p", "a2p", "a4p"], "another key and another caller wait"
    assert exports.admission.running == 1
    await exports.end("a1p")
    await exports.end("a4p")
    assert exports.running == ["a2p"], "the slot is held until the last one ends"
    await exports.end("a2p")
    assert exports.running == ["a3q"]


async def test_transfers_that_wait_for_a_shared_slot_get_it_together_and_may_leave() -> None:
    exports = Exports(Admission(1, 1, queue_timeout=60))
    for name in ("a1", "b1p", "b2p", "b3p"):
        await exports.ask(name)
    assert exports.admission.waiting == 3
    exports.tasks["b1p"].cancel()
    await settle()
    await exports.end("a1")
    assert exports.running == ["b2p", "b3p"]
    await exports.end("b2p")
    await exports.end("b3p")
    assert exports.admission.running == 0
    async with exports.admission.slot("z"):
        assert exports.admission.running == 1


async def test_a_caller_who_reads_slowly_on_many_connections_keeps_nobody_else_out(world: World) -> None:
    """With the default limits. The slow caller has all the connections that they can get, and reads nothing."""
    world.exports = ExportSettings(queue_timeout=3600)
    world.tokens += (token("other", "admin2", admin=True),)
    service = await world.start()
    service.file("a.jsonl", os.urandom(8_000_000))
    admission = service.app[ADMISSION]
    request = f"GET /api/admin/users/{EXPORT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN}\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(40):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", service.running.port or 0)))
            client.sendall(request.encode())
        while (admission.running, admission.waiting) != (8, 32):
            await asyncio.sleep(0.001)
        async with asyncio.timeout(10):
            answer = await service.get(EXPORT, token="other")
        assert answer.status == 200
        assert (admission.running, admission.waiting) == (8, 32)
