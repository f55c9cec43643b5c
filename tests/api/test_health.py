import threading

import pytest

from service.api.parts import DATABASE, FILES_POOL
from service.transfers.transfer import TRANSFERS
from tests.world import World, assert_problem


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_is_open_to_anybody_and_says_no_more_than_that(service: World, path: str) -> None:
    answer = await service.get(path, token=None)
    assert (answer.status, answer.json) == (200, {"status": "ok"})


async def test_readyz_names_the_store_when_it_does_not_answer(service: World) -> None:
    service.root.rmdir()
    answer = await service.get("/readyz", token=None)
    assert_problem(answer, 503, "Not answering: store.")
    assert answer.headers["Retry-After"] == "5"
    assert (await service.get("/healthz", token=None)).status == 200
    service.root.mkdir()
    assert (await service.get("/readyz", token=None)).status == 200


async def test_readyz_names_the_catalog_when_it_does_not_answer(service: World) -> None:
    service.app[DATABASE].close()
    assert_problem(await service.get("/readyz", token=None), 503, "Not answering: catalog.")


async def test_readyz_does_not_wait_for_a_store_that_hangs(service: World, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr("service.api.readiness.PATIENCE", 0.01)
    blocked = [service.app[FILES_POOL].run(release.wait, 30) for _ in range(service.app[FILES_POOL].threads)]
    assert_problem(await service.get("/readyz", token=None), 503, "Not answering: store.")
    release.set()
    for waiting in blocked:
        assert await waiting


async def test_while_stopping_only_health_is_answered(service: World) -> None:
    await service.app[TRANSFERS].stop(0)
    answer = await service.get("/readyz", token=None)
    assert_problem(answer, 503, "The service is stopping.")
    assert answer.headers["Retry-After"] == "5"
    assert (await service.get("/healthz", token=None)).status == 200
    answer = await service.get("u-1/sessions")
    assert_problem(answer, 503)
    assert answer.headers["Retry-After"] == "5"
