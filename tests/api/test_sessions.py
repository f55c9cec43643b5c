import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.catalog import User
from tests.engines import both_engines_if_long
from tests.world import ALICE, World, assert_problem

pytestmark = both_engines_if_long

LIST = "u-1/sessions"


async def rows(world: World, query: str = "", user: str = "u-1") -> list[dict[str, Any]]:
    answer = await world.get(f"{user}/sessions{query}")
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json["rows"]
    return found


async def test_a_processed_session_has_what_the_catalog_and_the_file_know(service: World) -> None:
    service.file("6f1c.jsonl", b"x" * 48211)
    await service.add_usage("6f1c.jsonl", session_id="6f1c", ended_at=datetime(2026, 5, 10, 13, tzinfo=UTC))
    answer = await service.get(LIST)
    assert answer.json == {
        "rows": [
            {
                "session_file": "6f1c.jsonl",
                "session_id": "6f1c",
                "started_at": "2026-05-10T12:00:00+00:00",
                "ended_at": "2026-05-10T13:00:00+00:00",
                "active_seconds": 61,
                "wall_seconds": 300,
                "tool_calls": 5,
                "tool_errors": 1,
                "primary_model": "claude",
                "processed": True,
                "size_bytes": 48211,
                "available": True,
                "title": None,
                "project": None,
                "models": [],
            }
        ],
        "pagination": {"limit": 50, "offset": 0, "total": 1},
    }


async def test_an_unprocessed_session_is_known_by_its_file(service: World) -> None:
    service.file("new.jsonl", b"12345", mtime=1_760_000_000)
    assert await rows(service) == [
        {
            "session_file": "new.jsonl",
            "session_id": "new",
            "started_at": "2025-10-09T08:53:20+00:00",
            "ended_at": None,
            "active_seconds": None,
            "wall_seconds": None,
            "tool_calls": 0,
            "tool_errors": 0,
            "primary_model": None,
            "processed": False,
            "size_bytes": 5,
            "available": True,
            "title": None,
            "project": None,
            "models": [],
        }
    ]


async def test_a_row_whose_file_is_gone_is_listed_as_not_available(service: World) -> None:
    await service.add_usage("gone.jsonl")
    (row,) = await rows(service)
    assert (row["size_bytes"], row["available"], row["processed"]) == (None, False, True)


async def test_both_layouts_are_listed_and_the_same_name_counts_once_from_the_first(service: World) -> None:
    service.file("same.jsonl", b"first", folder="alice")
    service.file("same.jsonl", b"the second", folder="u-1")
    service.file("other.jsonl", folder="u-1")
    found = {row["session_file"]: row["size_bytes"] for row in await rows(service)}
    assert found == {"same.jsonl": 5, "other.jsonl": 3}


async def test_a_link_in_the_first_layout_does_not_hide_a_session_in_the_second(service: World) -> None:
    (service.root / "alice").mkdir()
    (service.root / "alice" / "x.jsonl").symlink_to("/etc/passwd")
    service.file("x.jsonl", b"mine", folder="u-1")
    (row,) = await rows(service)
    assert row["size_bytes"] == 4
    assert (await service.get("u-1/sessions/x.jsonl/download")).body == b"mine"


async def test_names_in_the_catalog_mean_the_same_with_and_without_a_directory(service: World) -> None:
    service.file("a.jsonl")
    await service.add_usage("alice/a.jsonl", session_id="old", processor_version=1)
    await service.add_usage("a.jsonl", session_id="new", processor_version=2)
    (row,) = await rows(service)
    assert (row["session_file"], row["session_id"], row["available"]) == ("a.jsonl", "new", True)


async def test_usage_is_matched_by_user_id_local_part_and_email(service: World) -> None:
    await service.add_usage("1.jsonl", username="whoever", user_id=ALICE.id)
    await service.add_usage("2.jsonl", username="alice", user_id=None)
    await service.add_usage("3.jsonl", username="alice@example.com", user_id=None)
    await service.add_usage("4.jsonl", username="bob", user_id="u-2")
    assert {row["session_file"] for row in await rows(service)} == {"1.jsonl", "2.jsonl", "3.jsonl"}


async def test_order_is_processed_first_then_newest_then_none_then_name(service: World) -> None:
    for name, day in (("p-old", 1), ("p-new", 9), ("p-b", 5), ("p-a", 5), ("p-none", None)):
        started = None if day is None else datetime(2026, 5, day, tzinfo=UTC)
        await service.add_usage(f"{name}.jsonl", started_at=started)
    for name, mtime in (("u-old", 1e9), ("u-new", 2e9), ("u-b", 1.5e9), ("u-a", 1.5e9)):
        service.file(f"{name}.jsonl", mtime=mtime)
    order = [row["session_id" if not row["processed"] else "session_file"] for row in await rows(service)]
    expected = ["p-new", "p-a", "p-b", "p-old", "p-none"]
    assert order == [f"{name}.jsonl" for name in expected] + ["u-new", "u-a", "u-b", "u-old"]


async def test_paging_gives_every_session_once_across_the_border_of_processed_and_not(service: World) -> None:
    for number in range(5):
        await service.add_usage(f"p{number}.jsonl")
        service.file(f"u{number}.jsonl", mtime=1e9)
    whole = [row["session_file"] for row in await rows(service)]
    assert len(whole) == 10
    paged = []
    for offset in range(0, 12, 3):
        answer = await service.get(f"{LIST}?limit=3&offset={offset}")
        assert answer.json["pagination"] == {"limit": 3, "offset": offset, "total": 10}
        paged += [row["session_file"] for row in answer.json["rows"]]
    assert paged == whole


async def test_only_regular_files_with_a_session_name_are_sessions(service: World) -> None:
    folder = service.file("real.jsonl").parent
    (folder / "directory.jsonl").mkdir()
    (folder / "link.jsonl").symlink_to(folder / "real.jsonl")
    os.mkfifo(folder / "fifo.jsonl")
    listener = socket.socket(socket.AF_UNIX)
    previous = Path.cwd()
    os.chdir(folder)  # a socket's path must be short
    listener.bind("socket.jsonl")
    os.chdir(previous)
    listener.close()
    for name in ("no spaces.jsonl", ".jsonl", "x.jsonl\n", "x.json", "ünlaut.jsonl", "a.jsonl.gz"):
        (folder / name).write_bytes(b"x")
    assert [row["session_file"] for row in await rows(service)] == ["real.jsonl"]


@pytest.mark.parametrize("mtime", [0, -1, 2_208_988_800, 7_258_118_400])
async def test_odd_modification_times_are_listed(service: World, mtime: int) -> None:
    service.file("odd.jsonl", mtime=mtime)
    (row,) = await rows(service)
    assert datetime.fromisoformat(row["started_at"]).timestamp() == mtime


async def test_without_a_usage_table_the_files_are_listed_as_unprocessed(
    service: World, caplog: pytest.LogCaptureFixture
) -> None:
    service.file("a.jsonl")
    await service.add_usage("a.jsonl")
    await service.sql("DROP TABLE usage_session_summary")
    await rows(service)
    (row,) = await rows(service)
    assert (row["session_file"], row["processed"]) == ("a.jsonl", False)
    assert "failure 2 since the start" in caplog.text


async def test_a_user_without_a_directory_has_no_sessions(service: World) -> None:
    answer = await service.get(LIST)
    assert (answer.status, answer.json["rows"], answer.json["pagination"]["total"]) == (200, [], 0)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=abc", "limit=", "limit=1.5", "offset=-1", "offset=", f"offset={10**30}"],
)
async def test_a_page_that_does_not_validate_is_422_and_says_where(service: World, query: str) -> None:
    answer = await service.get(f"{LIST}?{query}")
    assert_problem(answer, 422)
    (mistake,) = answer.json["errors"]
    assert mistake["loc"] == ["query", query.partition("=")[0]]
    assert mistake["msg"]
    assert mistake["type"]


@pytest.mark.parametrize("query", ["limit=1", "limit=200", "offset=0", f"offset={2**62}"])
async def test_the_ends_of_what_validates(service: World, query: str) -> None:
    assert (await service.get(f"{LIST}?{query}")).status == 200


@pytest.mark.parametrize(
    "user_id",
    [
        "nobody",
        "..",
        "%2e%2e",
        "a%2Fb",
        "%00",
        "u-1%00",
        "'",
        "%22",
        "%22;DROP TABLE users",
        "x" * 10_000,
        "%F0%9F%98%80",
        "%ff",
    ],
)
async def test_an_unknown_user_is_not_found_whatever_the_id_holds(service: World, user_id: str) -> None:
    assert_problem(await service.get(f"{user_id.replace(' ', '%20')}/sessions"), 404, "User not found")


@pytest.mark.parametrize("email", ["", "..@x", ".@x", "a/b@x", "@x", "a\\b@x", "a\x00b@x", "a\nb@x"])
async def test_an_email_that_is_no_directory_leads_nowhere(service: World, email: str) -> None:
    """The canaries stand where a careless join of the root and the name would lead."""
    (service.root / "canary.jsonl").write_bytes(b"canary")
    (service.root.parent / "canary.jsonl").write_bytes(b"canary")
    service.file("canary.jsonl", b"canary", folder="a")
    service.file("mine.jsonl", folder="u-7")
    await service.add_users(User("u-7", email, None))
    assert [row["session_file"] for row in await rows(service, user="u-7")] == ["mine.jsonl"]
    assert (await service.get("u-7/sessions/canary.jsonl/download")).status == 404


async def test_an_email_without_an_at_is_its_own_local_part(service: World) -> None:
    service.file("mine.jsonl", folder="dave")
    await service.add_users(User("u-8", "dave", None))
    assert [row["session_file"] for row in await rows(service, user="u-8")] == ["mine.jsonl"]


async def test_a_directory_may_be_a_link_only_to_something_under_the_root(service: World) -> None:
    service.file("moved.jsonl", folder="archive-2025")
    (service.root / "alice").symlink_to("archive-2025")
    assert [row["session_file"] for row in await rows(service)] == ["moved.jsonl"]
    for target in (".", "..", "/", "/etc", str(service.root.parent), "nowhere", "alice"):
        (service.root / "alice").unlink()
        (service.root / "alice").symlink_to(target)
        (service.root.parent / "canary.jsonl").write_bytes(b"canary")
        (service.root / "canary.jsonl").write_bytes(b"canary")
        assert await rows(service) == [], target


async def test_a_missing_session_root_is_503_and_comes_back_by_itself(service: World) -> None:
    service.file("a.jsonl")
    service.root.rename(service.root.with_name("away"))
    assert_problem(await service.get(LIST), 503)
    service.root.with_name("away").rename(service.root)
    assert len(await rows(service)) == 1


async def test_what_changes_in_a_settled_directory_shows_at_once(
    service: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing is kept once its directory has not changed for a while: the clock is set on, as if it had not."""
    first = service.file("a.jsonl", b"1")
    service.file("b.jsonl", b"1", folder="u-1")
    await service.add_usage("b.jsonl")
    later = time.time() + 60
    monkeypatch.setattr("service.store.local.time.time", lambda: later)

    async def seen() -> dict[str, tuple[bool, int | None]]:
        return {row["session_file"]: (row["processed"], row["size_bytes"]) for row in await rows(service)}

    for _ in range(2):
        assert await seen() == {"a.jsonl": (False, 1), "b.jsonl": (True, 1)}
    first.write_bytes(b"12345")
    assert (await seen())["a.jsonl"] == (False, 5), "appended to"
    service.file("c.jsonl", b"123")
    assert (await seen())["c.jsonl"] == (False, 3), "added"
    first.unlink()
    assert "a.jsonl" not in await seen(), "removed"
    service.file("c.jsonl.new", b"1234567").rename(first.with_name("c.jsonl"))
    assert (await seen())["c.jsonl"] == (False, 7), "replaced"
    first.with_name("c.jsonl").unlink()
    first.with_name("c.jsonl").symlink_to("/etc/passwd")
    assert "c.jsonl" not in await seen(), "replaced by a link"
    await service.add_usage("c.jsonl")
    await service.sql("UPDATE usage_session_summary SET tool_calls = 77 WHERE session_file = 'b.jsonl'")
    assert {row["session_file"]: row["tool_calls"] for row in await rows(service)} == {"b.jsonl": 77, "c.jsonl": 5}


async def test_a_kept_listing_is_not_read_again(service: World, monkeypatch: pytest.MonkeyPatch) -> None:
    service.file("a.jsonl")
    later = time.time() + 60
    monkeypatch.setattr("service.store.local.time.time", lambda: later)
    assert len(await rows(service)) == 1

    def fail(*_: object) -> None:
        raise AssertionError("the directory is read again")

    monkeypatch.setattr("service.store.local.os.scandir", fail)
    assert len(await rows(service)) == 1


async def test_a_listing_is_not_kept_while_its_directory_may_still_change_in_the_same_tick(
    service: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system's clock ticks coarsely: here it stands still, as within one tick."""
    path = service.file("a.jsonl")
    directory = path.parent.stat()
    status = os.fstat

    def frozen(descriptor: int) -> Any:
        real = status(descriptor)
        return directory if real.st_ino == directory.st_ino else real

    monkeypatch.setattr("service.store.local.os.fstat", frozen)
    assert len(await rows(service)) == 1
    service.file("b.jsonl")
    assert len(await rows(service)) == 2
