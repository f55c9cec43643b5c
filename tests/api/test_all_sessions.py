"""GET /api/admin/sessions: the sessions of all users."""

import base64
from typing import Any

import pytest

from service.api.parts import INDEXER, SESSIONS
from service.catalog import Replica, User
from service.config import Index
from service.sessions import Selection
from tests.engines import both_engines_if_long
from tests.transcript import session
from tests.world import World, assert_problem

pytestmark = both_engines_if_long
ALL = "/api/admin/sessions"


@pytest.fixture
async def three(service: World) -> World:
    """Alice has two sessions, Bob one with an error, and a file that no agent wrote."""
    await service.add_users(User("u-2", "bob@example.com", "Bob"))
    service.file("a1.jsonl", session(began="2026-05-10", ended="2026-05-10T01:00:00Z"))
    service.file("a2.jsonl", session(began="2026-05-12", ended="2026-05-12", model="sonnet", title="The login"))
    service.file("b1.jsonl", session(began="2026-05-11", ended="2026-05-11", error=True) + b"{}\n" * 9, folder="bob")
    service.file("b2.jsonl", b"", folder="bob", mtime=1_778_000_000)  # 2026-05-05
    return service


async def rows(world: World, query: str = "") -> list[dict[str, Any]]:
    answer = await world.get(f"{ALL}?{query}")
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json["rows"]
    return found


def names(found: list[dict[str, Any]]) -> list[str]:
    return [row["session_file"].removesuffix(".jsonl") for row in found]


async def test_a_row_is_that_of_the_users_list_with_the_user(three: World) -> None:
    (row,) = list(await rows(three, "errors=true"))
    (listed,) = (await three.get("u-2/sessions?errors=true")).json["rows"]
    assert row == listed | {"user_id": "u-2", "email": "bob@example.com"}
    assert (row["processed"], row["title"], row["tool_errors"]) == (True, "Fix the tests", 1)


async def test_files_that_were_not_read_yet_are_listed(three: World) -> None:
    found = await rows(three)
    assert sorted(names(found)) == ["a1", "a2", "b1", "b2"]
    assert not any(row["processed"] for row in found)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("since=2026-01-01", ["a2", "b1", "a1", "b2"]),
        ("since=2026-05-10T00:30:00Z", ["a2", "b1", "a1"]),
        ("until=2026-05-10", ["b2"]),
        ("model=opus&until=2026-05-11", ["a1"]),
        ("model=sonnet&model=opus&sort=size_bytes", ["b1", "a1", "a2"]),
        ("q=EXAMPLE", []),
        ("q=login", ["a2"]),
        ("user_id=u-2&q=jsonl", ["b1", "b2"]),
        ("user_id=u-2&user_id=u-1&errors=true", ["b1"]),
        ("user_id=nobody", []),
        ("since=2027-01-01", []),
    ],
)
async def test_what_is_selected_is_found_newest_first(three: World, query: str, expected: list[str]) -> None:
    answer = await three.get(f"{ALL}?{query}")
    assert names(answer.json["rows"]) == expected
    assert answer.json["total"] == len(expected)
    assert answer.json["next"] is None


@pytest.mark.parametrize("sort", ["started_at", "size_bytes", "tool_errors"])
async def test_pages_join_without_a_gap_or_a_double(three: World, sort: str) -> None:
    for number in range(7):
        three.file(f"same{number}.jsonl", session())
    whole = await rows(three, f"sort={sort}&since=2020-01-01")
    assert len(whole) == 11
    keys = [row[sort] or 0 for row in whole if sort != "started_at" or row["started_at"]]
    assert keys == sorted(keys, reverse=True)
    found, cursor = [], ""
    while cursor is not None:
        answer = await three.get(f"{ALL}?limit=2&sort={sort}&since=2020-01-01{cursor and f'&cursor={cursor}'}")
        assert answer.json["total"] == 11
        found += answer.json["rows"]
        cursor = answer.json["next"]
    assert found == whole


async def test_a_session_that_comes_between_two_pages_moves_no_other(three: World) -> None:
    first = (await three.get(f"{ALL}?limit=2&since=2020-01-01")).json
    three.file("newest.jsonl", session(began="2026-06-01", ended="2026-06-01"))
    second = (await three.get(f"{ALL}?limit=2&since=2020-01-01&cursor={first['next']}")).json
    assert names(first["rows"]) + names(second["rows"]) == ["a2", "b1", "a1", "b2"]
    assert (first["total"], second["total"]) == (4, 5)


async def test_a_cursor_that_was_changed_or_is_another_querys_is_422(three: World) -> None:
    cursor = (await three.get(f"{ALL}?limit=1&since=2020-01-01")).json["next"]
    changed = base64.urlsafe_b64encode(base64.urlsafe_b64decode(cursor).replace(b"u-1", b"u-2")).decode()
    for query in (
        f"limit=1&cursor={cursor}",
        f"since=2020-01-02&cursor={cursor}",
        f"since=2020-01-01&sort=size_bytes&cursor={cursor}",
        f"since=2020-01-01&cursor={changed}",
        f"since=2020-01-01&cursor={cursor[:-4]}",
        "since=2020-01-01&cursor=",
        "since=2020-01-01&cursor=%F0%9F%98%80",
        "since=2020-01-01&cursor=AAAAAAAAAAAAAAAAbnVsbA==",
    ):
        answer = await three.get(f"{ALL}?{query}")
        assert_problem(answer, 422, "Not valid: cursor.")
    assert (await three.get(f"{ALL}?limit=200&since=2020-01-01&cursor={cursor}")).status == 200


MANY_USERS = "&".join(f"user_id={number}" for number in range(201))


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=201", "sort=name", "session_file=a.jsonl", "since=2026-05-11&until=2026-05-10", "q="),
        *("errors=2", MANY_USERS),
    ],
)
async def test_what_does_not_validate_is_422(service: World, query: str) -> None:
    assert_problem(await service.get(f"{ALL}?{query}"), 422)


async def test_usage_wins_here_too_and_a_row_without_a_file_is_listed(three: World) -> None:
    await three.add_usage("alice/a1.jsonl", user_id=None, username="alice@example.com", tool_errors=9)
    await three.add_usage("gone.jsonl", username="bob", user_id=None)
    found = {row["session_file"]: row for row in await rows(three, "since=2020-01-01")}
    assert found["a1.jsonl"]["tool_errors"] == 9
    assert (found["gone.jsonl"]["user_id"], found["gone.jsonl"]["available"]) == ("u-2", False)
    assert names(await rows(three, "errors=true&sort=tool_errors")) == ["a1", "b1", "gone"]


async def test_sessions_are_counted_by_the_day_on_which_they_began(three: World) -> None:
    async def counts(query: str = "") -> list[tuple[str, int, int]]:
        answer = await three.get(f"{ALL}/days?{query}")
        assert answer.status == 200
        return [(row["day"], row["sessions"], row["with_errors"]) for row in answer.json["rows"]]

    expected = [("2026-05-05", 1, 0), ("2026-05-10", 1, 0), ("2026-05-11", 1, 1), ("2026-05-12", 1, 0)]
    assert await counts("since=2020-01-01") == expected  # the first has no time in it: its modification time counts
    assert await counts("errors=true") == expected[2:3]
    assert await counts("user_id=u-9") == []
    assert await three.audit() == []


async def test_reading_is_audited(three: World) -> None:
    await rows(three, "errors=true&limit=7")
    (row,) = await three.audit("admin.sessions_read")
    assert (row["user_id"], row["resource"], row["result"]) == ("admin1", "sessions", "success")


async def test_sessions_of_all_users_are_selected_for_an_export(three: World) -> None:
    async def selected(selection: Selection) -> dict[str, list[str]]:
        return {user.id: listing.names async for user, listing, _ in three.app[SESSIONS].select(selection)}

    assert await selected(Selection()) == {"u-1": ["a1.jsonl", "a2.jsonl"], "u-2": ["b1.jsonl", "b2.jsonl"]}
    assert await selected(Selection(user_ids=("u-2", "u-9"))) == {"u-2": ["b1.jsonl", "b2.jsonl"]}
    assert await selected(Selection(errors=True)) == {"u-2": ["b1.jsonl"]}
    assert await selected(Selection(models=("none",))) == {}
    async with three.app[SESSIONS].of("u-1") as sessions:
        assert (await sessions.selected(Selection(models=("sonnet",)))).names == ["a2.jsonl"]
        assert (await sessions.selected(Selection(session_files=("a1.jsonl",)))).names == ["a1.jsonl"]
        assert (await sessions.selected(Selection())).names == ["a1.jsonl", "a2.jsonl"]


async def no_leader(_: Replica) -> bool:
    return False


async def test_a_list_of_all_leaves_out_no_file_of_a_new_catalog_or_user(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Replica, "leads", no_leader)
    world.index = Index()
    world.file("a.jsonl", session())
    world.file("b.jsonl", session(), folder="bob")
    await world.start()
    assert [row["session_file"] for row in (await world.get("/api/admin/sessions")).json["rows"]] == ["a.jsonl"]
    await world.add_users(User("u-2", "bob@example.com", "Bob"))
    assert (await world.get("/api/admin/sessions")).json["total"] == 2


async def test_a_list_of_all_waits_after_a_start_only_for_users_whose_files_were_never_listed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Replica, "leads", no_leader)
    world.index = Index(patience=0)  # a request that waits gets 503
    world.file("a.jsonl", session())
    await world.start()
    assert_problem(await world.get("/api/admin/sessions"), 503)
    await world.app[INDEXER].round()
    await world.stop()
    await world.start()
    everything = await world.get("/api/admin/sessions")
    assert [row["session_file"] for row in everything.json["rows"]] == ["a.jsonl"]
    assert_problem(await world.get("/api/admin/sessions?errors=true"), 503)
