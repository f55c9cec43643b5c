import asyncio

import pytest

from service.api.readiness import Readiness
from service.catalog import CatalogError
from service.store import NotFound


async def good() -> None:
    return None


async def test_a_part_answers_again_once_its_check_passes() -> None:
    failures: list[Exception] = [CatalogError("no"), CatalogError("no")]

    async def catalog() -> None:
        if failures:
            raise failures.pop()

    readiness = Readiness({"catalog": catalog, "store": good})
    assert readiness.answers("catalog")
    assert await readiness.check() == ["catalog"]
    assert (readiness.answers("catalog"), readiness.answers("store")) == (False, True)
    assert await readiness.check() == ["catalog"]
    assert await readiness.check() == []


async def test_the_parts_are_checked_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = asyncio.Semaphore(0)

    async def store() -> None:
        checked.release()
        raise NotFound

    monkeypatch.setattr("service.api.readiness.INTERVAL", 0.001)
    readiness = Readiness({"store": store})
    watching = asyncio.create_task(readiness.watch())
    for _ in range(3):
        await checked.acquire()
    watching.cancel()
    assert not readiness.answers("store")
