"""Places for exports: at most so many run at once, the others wait in order, and not for ever."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import web

from service.http.problems import Problem


class Admission:
    """`places` exports run at once. A place that falls free goes to the waiting caller who has the fewest, then to
    the one who has waited longest: one caller cannot keep all places while others wait."""

    def __init__(self, places: int, queue_timeout: float) -> None:
        self._free = places
        self.refused = 0  # since the start
        self._queue_timeout = queue_timeout
        self._running: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @property
    def running(self) -> int:
        """How many places are held."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._still_waiting())

    @asynccontextmanager
    async def place(self, caller: str) -> AsyncIterator[None]:
        """Hold a place. Raises a 503 Problem when none is given within `queue_timeout` seconds."""
        if self._free:
            self._give(caller)
        else:
            await self._wait(caller)
        try:
            yield
        finally:
            self._take_back(caller)

    async def _wait(self, caller: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((caller, turn))
        try:
            async with asyncio.timeout(self._queue_timeout):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._take_back(caller)  # it was given in the very moment of giving up
            if isinstance(error, TimeoutError):
                raise self._busy() from None
            raise
        finally:
            self._waiting.remove((caller, turn))

    def _still_waiting(self) -> list[tuple[str, asyncio.Future[None]]]:
        """Those in the queue who have neither been given a place nor given up, and only not noticed yet."""
        return [waiter for waiter in self._waiting if not waiter[1].done()]

    def _give(self, caller: str) -> None:
        self._free -= 1
        self._running[caller] += 1

    def _take_back(self, caller: str) -> None:
        self._free += 1
        self._running[caller] -= 1
        if not self._running[caller]:
            del self._running[caller]
        if waiting := self._still_waiting():
            following, turn = min(waiting, key=lambda waiter: self._running[waiter[0]])
            self._give(following)
            turn.set_result(None)

    def _busy(self) -> Problem:
        self.refused += 1
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "As many exports are running as the service allows; try again later.",
            headers={"Retry-After": str(max(1, round(self._queue_timeout)))},
        )


ADMISSION = web.AppKey("admission", Admission)
