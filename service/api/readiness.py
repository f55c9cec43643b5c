"""Whether the catalog and the store answer, for /readyz and for the metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from service.catalog import CatalogError
from service.store import StoreError

PATIENCE = 2  # seconds that a part has to answer
INTERVAL = 15  # seconds between two checks for the metrics


class Readiness:
    """`checks` has a check for each part, which raises CatalogError or StoreError if the part does not answer."""

    def __init__(self, checks: Mapping[str, Callable[[], Awaitable[object]]]) -> None:
        self._checks = checks
        self.parts = tuple(checks)
        self._silent: set[str] = set()  # as the last check found it

    def answers(self, part: str) -> bool:
        """Whether the part answered the last check."""
        return part not in self._silent

    async def check(self) -> list[str]:
        """The names of the parts that do not answer."""
        answers = await asyncio.gather(*(_answers(check()) for check in self._checks.values()))
        silent = [part for part, answered in zip(self.parts, answers, strict=True) if not answered]
        self._silent = set(silent)
        return silent

    async def watch(self) -> None:
        """Check every INTERVAL seconds, until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(INTERVAL)


async def _answers(answer: Awaitable[object]) -> bool:
    try:
        await asyncio.wait_for(answer, PATIENCE)
    except (CatalogError, StoreError, TimeoutError):
        return False
    return True
