"""The index follows the files: what came, grew, was replaced or is gone, broken or not to be read."""

import asyncio
import logging
import os
import threading
import time
from typing import Any

import pytest

from service.api.parts import DATABASE, INDEXER, STORE
from service.catalog import FileState, IndexRow, User
from service.catalog import Index as IndexTable
from service.config import Index
from service.sessions import Indexer, transcript
from service.store import Unreadable
from tests.transcript import lines, session
from tests.world import World, assert_problem

ANSWER = {"type": "assistant", "message": {"model": "opus"}, "timestamp": "2026-05-10T12:30:00Z"}


async def indexed(world: World) -> dict[str, dict[str, Any]]:
    """Alice's rows after a round, by name."""
    await world.app[INDEXER].round()
    rows = await world.sql("SELECT * FROM session_index WHERE user_id = 'u-1'")
    return {row["session_file"]: row for row in rows}


async def listed(world: World, query: str = "") -> list[dict[str, Any]]:
    answer = await world.get(f"u-1/sessions{query}")
    assert answer.status == 200, answer.body
    rows: list[dict[str, Any]] = answer.json["rows"]
    return rows


async def test_the_background_finds_the_facts_and_the_list_shows_them(world: World) -> None:
    world.index = Index(interval=1)
    world.file("a.jsonl", session(error=True))
    await world.start()
    while not (rows := await listed(world))[0]["processed"]:
        await asyncio.sleep(0.05)
    assert rows == [
        {
            "session_file": "a.jsonl",
            "session_id": "s-1",
            "started_at": "2026-05-10T12:00:00+00:00",
            "ended_at": "2026-05-10T12:05:00+00:00",
            "active_seconds": 300,
            "wall_seconds": 300,
            "tool_calls": 1,
            "tool_errors": 1,
            "primary_model": "opus",
            "processed": True,
            "size_bytes": len(session(error=True)),
            "available": True,
            "title": "Fix the tests",
            "project": "shop",
            "models": ["opus"],
        }
    ]


async def test_what_follows_from_name_and_span_is_listed_though_no_column_is_read_for_it(service: World) -> None:
    service.file("s-1.jsonl", session(session_id="s-1"))
    service.file("untimed.jsonl", lines({"type": "user"}))
    rows = await indexed(service)
    assert rows["s-1.jsonl"]["session_id"] is None
    timed, untimed = await listed(service, "?q=jsonl")
    assert (timed["session_id"], timed["ended_at"]) == ("s-1", "2026-05-10T12:05:00+00:00")
    assert (untimed["session_id"], untimed["started_at"], untimed["ended_at"]) == ("untimed", None, None)


async def test_usage_wins_and_the_index_says_what_usage_does_not(service: World) -> None:
    service.file("a.jsonl", session(error=True))
    await service.add_usage("alice/a.jsonl", session_id="other", tool_errors=7, primary_model="claude")
    await indexed(service)
    (row,) = await listed(service)
    assert (row["session_id"], row["tool_errors"], row["wall_seconds"], row["ended_at"]) == ("other", 7, 300, None)
    assert (row["primary_model"], row["models"], row["title"]) == ("claude", ["opus"], "Fix the tests")


async def test_processed_come_first_and_paging_is_stable(service: World) -> None:
    for number in range(4):
        moment = f"2026-05-1{number}T12:00:00Z"
        service.file(f"{number}.jsonl", session(began=moment, ended=moment))
    service.file("empty.jsonl", b"")
    await service.add_usage("gone.jsonl")
    await indexed(service)
    service.file("new.jsonl", session())
    expected = ["3", "2", "1", "0", "gone", "empty", "new"]
    assert [row["session_file"].removesuffix(".jsonl") for row in await listed(service)] == expected
    pages = [await listed(service, f"?limit=2&offset={offset}") for offset in range(0, 8, 2)]
    assert [row["session_file"].removesuffix(".jsonl") for page in pages for row in page] == expected


async def test_what_came_grew_was_replaced_or_is_gone_is_found_in_the_next_round(service: World) -> None:
    grown, replaced, gone = (service.file(f"{name}.jsonl", session()) for name in ("grown", "replaced", "gone"))
    before = await indexed(service)
    assert {row["wall_seconds"] for row in before.values()} == {300}

    with grown.open("ab") as file:
        file.write(lines(ANSWER))
    service.file("new", session(title="Another")).replace(replaced)
    gone.unlink()
    service.file("came.jsonl", session())
    after = await indexed(service)
    assert after.keys() == {"grown.jsonl", "replaced.jsonl", "came.jsonl"}
    assert (after["grown.jsonl"]["wall_seconds"], after["grown.jsonl"]["assistant_messages"]) == (1800, 2)
    assert after["replaced.jsonl"]["title"] == "Another"


@pytest.mark.parametrize("megabytes", [2, 50])
async def test_a_large_file_that_grew_is_read_from_where_it_ended(
    service: World, monkeypatch: pytest.MonkeyPatch, megabytes: int
) -> None:
    path = service.file("a.jsonl", session() + lines({"type": "user", "x": "x" * 1_000_000}) * megabytes)
    await indexed(service)
    taken: list[int] = []
    feed = transcript.Transcript.feed

    def note(self: transcript.Transcript, data: bytes) -> None:
        taken.append(len(data))
        feed(self, data)

    monkeypatch.setattr(transcript.Transcript, "feed", note)
    for number in range(1, 4):
        with path.open("ab") as file:
            file.write(lines(ANSWER))
        assert (await indexed(service))["a.jsonl"]["assistant_messages"] == 1 + number
    assert sum(taken) == 3 * len(lines(ANSWER))


async def test_an_unchanged_file_is_never_read_again_not_even_after_a_restart(
    service: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.file("a.jsonl", session())
    before = await indexed(service)
    await service.stop()
    monkeypatch.setattr(transcript.Transcript, "feed", None)
    await service.start()
    assert await indexed(service) == before


async def test_a_file_that_cannot_be_read_is_logged_once_and_found_once_it_can(
    service: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.file("good.jsonl", session())
    path = service.file("bad.jsonl", session())
    opened = os.open

    def refuse(name: Any, *args: Any, **kwargs: Any) -> int:
        if name == "bad.jsonl":
            raise PermissionError(13, "Permission denied")
        return opened(name, *args, **kwargs)

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(os, "open", refuse)
        for _ in range(3):
            rows = await indexed(service)
    assert rows["good.jsonl"]["title"] == "Fix the tests"
    assert rows["bad.jsonl"]["facts_version"] is None
    assert [record.message for record in caplog.records if "bad.jsonl" in record.message] == [
        "index: bad.jsonl of user 'u-1': The file cannot be read. [Errno 13] Permission denied"
    ]
    assert path.exists()
    assert {row["session_file"]: row["processed"] for row in await listed(service)} == {
        "good.jsonl": True,
        "bad.jsonl": False,
    }
    assert service.app[INDEXER].failures == 1
    assert (await indexed(service))["bad.jsonl"]["title"] == "Fix the tests"
    assert service.app[INDEXER].failures == 0


async def test_the_failure_of_a_file_that_is_gone_is_forgotten(service: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path = service.file("a.jsonl", session())
    indexer = service.app[INDEXER]

    def fail(*_: Any) -> Any:
        raise Unreadable

    monkeypatch.setattr(indexer._reader, "read", fail)
    await indexed(service)
    assert indexer.failures == 1
    path.unlink()
    await indexed(service)
    assert indexer.failures == 0


async def test_a_directory_that_vanishes_takes_its_rows_along(service: World) -> None:
    path = service.file("a.jsonl", session())
    assert await indexed(service)
    path.unlink()
    path.parent.rmdir()
    assert await indexed(service) == {}


async def test_a_directory_that_vanishes_while_it_is_read_is_no_failure(
    service: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = service.file("a.jsonl", session())
    indexer = service.app[INDEXER]
    read = indexer._reader.read

    def vanish(*args: Any) -> Any:
        path.unlink()
        path.parent.rmdir()
        return read(*args)

    monkeypatch.setattr(indexer._reader, "read", vanish)
    await indexed(service)
    monkeypatch.undo()
    assert await indexed(service) == {}


async def test_a_row_that_another_replica_writes_while_files_are_listed_stays(
    service: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = service.file("a.jsonl", session())
    await indexed(service)
    path.unlink()
    indexer, other = service.app[INDEXER], IndexTable(service.app[DATABASE])
    list_with_state = indexer._list_with_state
    listings = 0

    def list_before_the_other(user: User) -> Any:
        nonlocal listings
        result = list_with_state(user)
        listings += 1
        if listings == 1:
            for name in ("a.jsonl", "b.jsonl"):
                service.file(name, session(title="Came"))
                rows = [IndexRow(name, FileState(1, 2, "03"), None)]
                asyncio.run_coroutine_threadsafe(write(name, rows), loop).result(10)
        return result

    async def write(name: str, rows: list[IndexRow]) -> None:
        known = await other.known("u-1")
        await other.replace("u-1", rows, {name: known[name][0]} if name in known else {})

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(indexer, "_list_with_state", list_before_the_other)
    rows = await indexed(service)
    assert {name: row["title"] for name, row in rows.items()} == {"a.jsonl": "Came", "b.jsonl": "Came"}
    assert listings == 3


async def test_users_have_the_rows_of_their_own_directories(service: World) -> None:
    service.file("a.jsonl", session(), folder="bob")
    service.file("b.jsonl", session(), folder="nobody")
    await service.add_users(User("u-2", "bob@example.com", "Bob"))
    await service.app[INDEXER].round()
    rows = await service.sql("SELECT user_id, session_file FROM session_index")
    assert rows == [{"user_id": "u-2", "session_file": "a.jsonl"}]
    await service.sql("UPDATE users SET email = 'robert@example.com' WHERE id = 'u-2'")
    await service.app[INDEXER].round()
    assert await service.sql("SELECT user_id, session_file FROM session_index") == []


async def test_a_user_who_comes_during_a_round_keeps_their_rows(
    service: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = service.app[INDEXER]._folders
    users = folders.users

    async def sessions_of_bob() -> int:
        count: int = (await service.get("/api/admin/users/u-2")).json["sessions"]
        return count

    async def users_before_bob() -> list[User]:
        found = await users()
        await service.add_users(User("u-2", "bob@example.com", "Bob"))
        service.file("b.jsonl", session(), folder="bob")
        assert await sessions_of_bob() == 1
        return found

    monkeypatch.setattr(folders, "users", users_before_bob)
    await service.app[INDEXER].round()
    assert await sessions_of_bob() == 1


async def test_a_user_who_was_deleted_and_comes_back_has_their_rows_again(service: World) -> None:
    service.file("a.jsonl", session())
    user = "SELECT id, email, name, active FROM users WHERE id = 'u-1'"
    await service.sql(f"CREATE TABLE kept AS {user}")
    assert (await indexed(service)).keys() == {"a.jsonl"}
    await service.sql("DELETE FROM users WHERE id = 'u-1'")
    assert await indexed(service) == {}
    await service.sql("INSERT INTO users (id, email, name, active) SELECT * FROM kept")
    assert (await indexed(service)).keys() == {"a.jsonl"}


async def test_facts_of_an_older_version_are_found_anew(service: World) -> None:
    service.file("a.jsonl", session())
    await indexed(service)
    await service.sql("UPDATE session_index SET facts_version = 0, title = 'old'")
    await service.stop()
    await service.start()
    assert (await indexed(service))["a.jsonl"]["title"] == "Fix the tests"


async def test_many_files_in_a_directory_are_all_read(service: World) -> None:
    folder = service.root / "alice"
    folder.mkdir()
    for number in range(1000):
        (folder / f"{number}.jsonl").touch()
    rows = await indexed(service)
    assert len(rows) == 1000
    assert {row["facts_version"] for row in rows.values()} == {1}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("since=2026-05-11", ["b", "late"]),
        ("until=2026-05-11", ["a"]),
        ("since=2026-05-10T12:05:00Z&until=2026-05-10T12:06:00Z", ["a"]),
        ("since=2026-05-10T12:05:01Z&until=2026-05-10T12:06:00Z", []),
        ("until=2026-05-10T12:00:00Z", []),
        ("model=sonnet", ["b"]),
        ("model=opus&model=sonnet", ["b", "a"]),
        ("model=op", []),
        ("errors=true", ["b"]),
        ("q=LOGIN", ["b"]),
        ("q=shop", ["b", "a"]),
        ("q=100%25", []),
        ("q=late.json", ["late"]),
        ("session_file=a.jsonl&session_file=nothing.jsonl", ["a"]),
        ("session_file=a.jsonl&errors=true", []),
    ],
)
async def test_a_selection_finds_what_came_a_moment_ago(service: World, query: str, names: list[str]) -> None:
    service.file("a.jsonl", session())
    await indexed(service)
    service.file(
        "b.jsonl", session(title="The login", began="2026-05-12", ended="2026-05-12", model="sonnet", error=True)
    )
    service.file("late.jsonl", b"", mtime=1_800_000_000)
    answer = await service.get(f"u-1/sessions?{query}")
    assert [row["session_file"].removesuffix(".jsonl") for row in answer.json["rows"]] == names
    assert answer.json["pagination"]["total"] == len(names)


async def test_usage_is_selected_by_as_well(service: World) -> None:
    service.file("a.jsonl", session())
    await service.add_usage("a.jsonl", tool_errors=3, primary_model="claude")
    assert [row["tool_errors"] for row in await listed(service, "?errors=true&model=claude")] == [3]


async def test_what_takes_too_long_to_read_is_503_and_nothing_is_left_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.index = Index(enabled=False, patience=0.2)
    await world.start()
    world.file("a.jsonl", session() * 1000)
    monkeypatch.setattr("service.sessions.reading.BLOCK", 100)
    feed = transcript.Transcript.feed

    def slowly(self: transcript.Transcript, data: bytes) -> None:
        time.sleep(0.01)
        feed(self, data)

    monkeypatch.setattr(transcript.Transcript, "feed", slowly)
    answer = await world.get("u-1/sessions?errors=true")
    assert_problem(answer, 503)
    assert answer.headers["Retry-After"]
    assert (await world.get("u-1/sessions")).status == 200


async def test_a_list_does_not_wait_until_all_files_of_a_user_are_read(
    service: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.file("a.jsonl", session())
    indexer = service.app[INDEXER]
    read, reading, go_on = indexer._reader.read, threading.Event(), threading.Event()

    def wait(*args: Any) -> Any:
        reading.set()
        go_on.wait(10)
        return read(*args)

    monkeypatch.setattr(indexer._reader, "read", wait)
    running = asyncio.create_task(indexer.round())
    await asyncio.to_thread(reading.wait, 10)
    service.file("b.jsonl", session())
    try:
        assert (await service.get("/api/admin/users")).json["rows"][0]["sessions"] == 2
    finally:
        go_on.set()
        await running
    assert {row["processed"] for row in await listed(service, "?q=jsonl")} == {True}


async def test_users_without_files_cost_the_first_list_no_query_each_and_a_file_that_comes_is_found(
    service: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.file("a.jsonl", session())
    await service.add_users(*(User(f"empty-{number}", f"empty{number}@example.com", None) for number in range(5)))
    index = service.app[INDEXER]._index
    known, queried = index.known, set[str]()

    async def note(user_id: str) -> Any:
        queried.add(user_id)
        return await known(user_id)

    monkeypatch.setattr(index, "known", note)
    all_sessions = "/api/admin/sessions?errors=false&q=jsonl"
    assert [row["user_id"] for row in (await service.get(all_sessions)).json["rows"]] == ["u-1"]
    assert queried == {"u-1"}
    service.file("b.jsonl", session(), folder="empty3")
    rows = (await service.get(all_sessions)).json["rows"]
    assert {row["user_id"] for row in rows} == {"u-1", "empty-3"}


async def test_a_selection_lists_nothing_again_where_nothing_changed(
    service: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = service.file("a.jsonl", session())
    assert len(await listed(service, "?errors=false&q=jsonl")) == 1
    if service.app[STORE].state("alice") is None:
        pytest.skip("changes on this file system are not watched")
    listed_users: list[str] = []
    list_with_state = Indexer._list_with_state

    def note(self: Indexer, user: User) -> Any:
        listed_users.append(user.id)
        return list_with_state(self, user)

    monkeypatch.setattr(Indexer, "_list_with_state", note)
    assert len(await listed(service, "?q=jsonl")) == 1
    assert listed_users == []
    with path.open("ab") as file:
        file.write(lines({"type": "summary", "timestamp": "2027-01-01"}))
    assert len(await listed(service, "?since=2027-01-01")) == 1
    assert set(listed_users) == {"u-1"}
