"""Slots for exports: a bounded number of exports run at once, the others wait in a queue for a limited time.

A caller holds at most `per_caller` slots, so that one caller who reads slowly cannot keep everybody else out. A free
slot goes to the waiting caller with the fewest slots, then to the one who has waited longest.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from service.http.problems import Problem


@dataclass(eq=False, slots=True)
class Slot:
    """A slot that is held or waited for. Transfers of one caller with the same key share it."""

    caller: str
    key: object
    held: bool = False
    transfers: int = 0  # how many share it while it is held
    waiting: list[asyncio.Future[None]] = field(default_factory=list)


class Admission:
    def __init__(self, slots: int, per_caller: int, queue_timeout: float) -> None:
        """`queue_timeout` is how many seconds a request waits for a slot."""
        self._free = slots
        self._per_caller = per_caller
        self._queue_timeout = queue_timeout
        self.refused = 0  # since the start
        self._held: Counter[str] = Counter()  # slots by caller
        self._slots: dict[tuple[str, object], Slot] = {}  # in the order of the requests

    @property
    def running(self) -> int:
        """How many slots are held."""
        return self._held.total()

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot."""
        return sum(_is_waited_for(turn) for slot in self._slots.values() for turn in slot.waiting)

    @asynccontextmanager
    async def slot(self, caller: str, key: object = None) -> AsyncIterator[None]:
        """Hold a slot; without a key it is not shared. Raises a 503 Problem after `queue_timeout` seconds."""
        key = object() if key is None else key
        slot = self._slots.setdefault((caller, key), Slot(caller, key))
        try:
            await self._acquire(slot)
        except BaseException:
            self._discard_unused(slot)
            raise
        try:
            yield
        finally:
            self._release(slot)

    async def _acquire(self, slot: Slot) -> None:
        if not slot.held and self._is_available(slot.caller):
            self._give(slot)
        if slot.held:
            slot.transfers += 1
        else:
            await self._wait(slot)

    async def _wait(self, slot: Slot) -> None:
        turn = asyncio.get_running_loop().create_future()
        slot.waiting.append(turn)
        try:
            async with asyncio.timeout(self._queue_timeout):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._release(slot)  # it was granted just as the timeout or the cancellation happened
            if isinstance(error, TimeoutError):
                raise self._busy(slot.caller) from None
            raise
        finally:
            slot.waiting.remove(turn)

    def _is_available(self, caller: str) -> bool:
        return self._free > 0 and self._held[caller] < self._per_caller

    def _give(self, slot: Slot) -> None:
        """Hand the slot to all requests that wait for it."""
        self._free -= 1
        self._held[slot.caller] += 1
        slot.held = True
        for turn in filter(_is_waited_for, slot.waiting):
            slot.transfers += 1
            turn.set_result(None)

    def _release(self, slot: Slot) -> None:
        slot.transfers -= 1
        if slot.transfers:
            return
        slot.held = False
        self._free += 1
        self._held -= Counter([slot.caller])  # removes a caller who holds none any more
        self._discard_unused(slot)
        self._give_next()

    def _give_next(self) -> None:
        candidates = [
            slot
            for slot in self._slots.values()
            if not slot.held and any(map(_is_waited_for, slot.waiting)) and self._is_available(slot.caller)
        ]
        if candidates:
            self._give(min(candidates, key=lambda slot: self._held[slot.caller]))

    def _discard_unused(self, slot: Slot) -> None:
        if not slot.held and not slot.waiting:
            self._slots.pop((slot.caller, slot.key), None)

    def _busy(self, caller: str) -> Problem:
        self.refused += 1
        if self._held[caller] >= self._per_caller:
            detail = f"You have {self._held[caller]} exports running, as many as one caller may; try again later."
        else:
            detail = "As many exports are running as the service allows; try again later."
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            detail,
            headers={"Retry-After": str(max(1, round(self._queue_timeout)))},
        )


def _is_waited_for(turn: asyncio.Future[None]) -> bool:
    """False once the slot was granted, or the waiting request was cancelled."""
    return not turn.done()


ADMISSION = web.AppKey("admission", Admission)
