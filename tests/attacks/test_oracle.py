"""Who may not look cannot find out who and what exists: not by an answer, and not by how long it takes."""

import random
import time
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from service.catalog import User
from tests.raw import Wire, wire
from tests.world import ADMIN, PLAIN, World, token

pytestmark = pytest.mark.long

# One that exists and one that does not, as long; and files alike.
PATHS = [
    "/api/admin/users/{user}/sessions",
    "/api/admin/users/{user}/sessions?limit=0",
    "/api/admin/users/{user}/sessions/download-all",
    "/api/admin/users/{user}/sessions/download-all?compression=x",
    "/api/admin/users/{user}/sessions/{file}.jsonl/download",
    "/api/admin/users/{user}/sessions/..%2f{file}/download",
    "/api/admin/users/{user}/activity",
    "/api/admin/users/{user}/{file}",
]
THERE = {"user": "u-1", "file": "seen"}
NOWHERE = {"user": "u-0", "file": "gone"}
# Whoever is not an admin, or not known.
CALLERS = ["", "unknown", "expired", "inactive", PLAIN]
HEADERS = ["Range: bytes=0-0", "If-None-Match: *", "If-Match: *", "Expect: 100-continue", "Accept: text/html"]

few_or_many = pytest.mark.parametrize("tries", [400, pytest.param(4000, marks=pytest.mark.long)])
BEYOND_CHANCE = 4.5  # standard deviations: once in 150,000 runs by chance


@pytest.fixture
async def guarded(world: World) -> World:
    past = datetime.now(UTC) - timedelta(days=1)
    world.tokens += (
        token("expired", "x", admin=True, expires_at=past),
        token("inactive", "sacked", admin=True),
    )
    service = await world.start()
    service.file("seen.jsonl", b"x" * 100_000)
    for number in range(300):
        service.file(f"{number}.jsonl", folder="u-1")
    await service.add_users(User("sacked", "sacked@example.com", None))
    await service.sql("UPDATE users SET active = FALSE WHERE id = 'sacked'")
    return service


@pytest.mark.parametrize("caller", CALLERS)
async def test_no_answer_tells_what_is_there(guarded: World, caller: str) -> None:
    async with wire(guarded.running.port) as line:
        for method, path in product(["GET", "HEAD", "POST", "OPTIONS"], PATHS):
            for header in ("X: y", *HEADERS):
                there = await line.ask(path.format(**THERE), header, method=method, token=caller)
                nowhere = await line.ask(path.format(**NOWHERE), header, method=method, token=caller)
                assert there.status == (403 if caller == PLAIN else 401)
                status, headers, body = there.visible()
                for name, word in THERE.items():
                    body = body.replace(word.encode(), NOWHERE[name].encode())
                assert (status, headers, body) == nowhere.visible()


@pytest.mark.parametrize("caller", ["", "unknown", "expired", "inactive"])
async def test_no_answer_tells_why_a_caller_is_not_known(guarded: World, caller: str) -> None:
    async with wire(guarded.running.port) as line:
        path = PATHS[0].format(**THERE)
        reply, other = await line.ask(path, token=caller), await line.ask(path, token="anything else")
    assert reply.visible() == other.visible()


@few_or_many
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("caller", "path"), [("unknown", PATHS[4]), (PLAIN, PATHS[0])])
async def test_no_time_tells_what_is_there(guarded: World, caller: str, path: str, tries: int) -> None:
    async with wire(guarded.running.port) as line:
        assert abs(await difference(line, path, caller, tries)) < BEYOND_CHANCE


async def test_the_measure_of_time_tells_it_of_an_admin(guarded: World) -> None:
    """Else the test above would find nothing because it cannot."""
    async with wire(guarded.running.port) as line:
        assert abs(await difference(line, PATHS[0], ADMIN, 200)) > BEYOND_CHANCE


async def difference(line: Wire, path: str, caller: str, number: int) -> float:
    """Standard deviations by which what is there takes longer than what is not (Mann-Whitney U), from as many tries
    in random order, so that a busy machine is busy for both."""
    tries = [(at % 2 == 0, 0.0) for at in range(number)]
    random.shuffle(tries)
    for at, (there, _) in enumerate(tries):
        target = path.format(**(THERE if there else NOWHERE))
        began = time.perf_counter()
        await line.ask(target, token=caller)
        tries[at] = (there, time.perf_counter() - began)
    ranked = sorted(tries, key=lambda one: one[1])
    ranks = sum(rank for rank, (there, _) in enumerate(ranked, 1) if there)
    half = number / 2
    expected, deviation = half * (number + 1) / 2, (half * half * (number + 1) / 12) ** 0.5
    return float((ranks - expected) / deviation)
