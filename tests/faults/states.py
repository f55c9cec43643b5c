"""A service that cannot do its work, and one that can again."""

from tests.world import Answer, World, assert_problem

EXPORT = "u-1/sessions/download-all"
DOWNLOAD = "u-1/sessions/a.jsonl/download"


async def ready(service: World) -> Answer:
    return await service.get("/readyz", token=None)


async def assert_down(service: World) -> None:
    """Nothing leaves, and everybody is told."""
    for path in (DOWNLOAD, EXPORT):
        answer = await service.get(path)
        assert_problem(answer, 503, "The catalog does not answer.")
        assert "Retry-After" in answer.headers
    assert_problem(await ready(service), 503, "Not answering: catalog.")
    assert (await service.get("/healthz", token=None)).status == 200


async def assert_up(service: World) -> None:
    assert (await ready(service)).status == 200
    assert (await service.get(DOWNLOAD)).body == b"{}\n"
    assert (await service.get(EXPORT)).status == 200
    started, ended = (await service.audit("session%_started"), await service.audit("session%download"))
    assert len(started) == len(ended), "each with its outcome"
