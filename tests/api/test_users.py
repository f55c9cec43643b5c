"""The users: listed, looked up, created and changed; and what belongs to nobody."""

import json
from typing import Any

import pytest

from service.catalog import User
from tests.engines import both_engines_if_long
from tests.transcript import session
from tests.world import Answer, World, assert_problem

pytestmark = both_engines_if_long
USERS = "/api/admin/users"


async def put(world: World, user_id: str, body: Any) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body)
    return await world.get(f"{USERS}/{user_id}", "PUT", data=data, headers={"Content-Type": "application/json"})


async def test_users_are_listed_by_email_with_what_they_have(service: World) -> None:
    await service.add_users(User("u-0", "zoe@example.com", None), User("u-9", "al@example.com", "Al"))
    service.file("a.jsonl", session(), folder="zoe", mtime=1_760_000_000)
    service.file("b.jsonl", b"12345", folder="u-0", mtime=1_760_000_000)
    answer = await service.get(USERS)
    assert [row["email"] for row in answer.json["rows"]] == ["al@example.com", "alice@example.com", "zoe@example.com"]
    assert answer.json["rows"][2] == {
        "user_id": "u-0",
        "email": "zoe@example.com",
        "name": None,
        "active": True,
        "sessions": 2,
        "size_bytes": len(session()) + 5,
        "last_session_at": "2025-10-09T08:53:20+00:00",
    }
    assert answer.json["pagination"] == {"limit": 50, "offset": 0, "total": 3}
    assert (await service.get(f"{USERS}/u-0")).json == answer.json["rows"][2]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("q=ALICE", ["u-1"]),
        ("q=u-", ["u-2", "u-1"]),
        ("q=b%20c", ["u-2"]),
        ("q=%25", []),
        ("q=_", []),
        ("limit=1&offset=1", ["u-1"]),
        ("offset=9", []),
    ],
)
async def test_users_are_searched(service: World, query: str, ids: list[str]) -> None:
    await service.add_users(User("u-2", "a@example.com", "B C"))
    assert [row["user_id"] for row in (await service.get(f"{USERS}?{query}")).json["rows"]] == ids


async def test_a_user_is_created_then_changed_and_both_are_audited(service: World) -> None:
    created = await put(service, "u-2", {"email": "bob@example.com"})
    assert created.status == 201
    assert created.json["active"] is True
    changed = await put(service, "u-2", {"email": "bo@example.com", "name": "Bo", "active": False})
    assert (changed.status, changed.json["email"], changed.json["active"]) == (200, "bo@example.com", False)
    assert (await put(service, "u-2", {"email": "bo@example.com", "name": "Bo", "active": False})).status == 200
    log = (await service.get("/api/admin/audit?action=admin.user_saved&about=u-2")).json["rows"]
    before = {"id": "u-2", "email": "bob@example.com", "name": None, "active": True}
    after = {"id": "u-2", "email": "bo@example.com", "name": "Bo", "active": False}
    assert [(row["params_before"], row["params"]) for row in log] == [(after, after), (before, after), (None, before)]


async def test_an_email_of_another_user_is_409_and_changes_nothing(service: World) -> None:
    assert (await put(service, "u-2", {"email": "bob@example.com"})).status == 201
    assert_problem(await put(service, "u-2", {"email": "alice@example.com"}), 409)
    assert_problem(await put(service, "u-3", {"email": "alice@example.com"}), 409)
    assert (await service.get(f"{USERS}/u-2")).json["email"] == "bob@example.com"
    assert_problem(await service.get(f"{USERS}/u-3"), 404, "User not found")
    assert len(await service.audit("admin.user_saved")) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"email": "no address"},
        {"email": "a@b@c"},
        {"email": "@example.com"},
        {"email": ""},
        {"email": None},
        {"email": "a\x00@example.com"},
        {"email": "..@example.com"},
        {"email": ".@example.com"},
        {"email": "a/b@example.com"},
        {"email": "a" * 300 + "@example.com"},
        {"email": "bob@example.com", "active": "yes"},
        {"email": "bob@example.com", "name": 7},
        {"email": "bob@example.com", "admin": True},
        {"name": "Bob"},
        [],
        b"",
        b"{",
        b"\xff",
    ],
)
async def test_what_is_no_user_is_422(service: World, body: Any) -> None:
    answer = await put(service, "u-2", body)
    assert_problem(answer, 422)
    assert_problem(await service.get(f"{USERS}/u-2"), 404)


async def test_an_id_that_can_be_no_directory_is_422(service: World) -> None:
    for user_id in ("..", "%00", "a%0Ab"):
        assert (await put(service, user_id, {"email": "bob@example.com"})).status in (404, 422)


async def test_directories_that_belong_to_nobody_are_listed(service: World) -> None:
    service.file("a.jsonl", session())
    service.file("b.jsonl", b"12345", folder="dave", mtime=1_760_000_000)
    service.file("c.jsonl", b"1", folder="erin", mtime=1_760_000_000)
    (service.root / "empty").mkdir()
    (service.root / "file.jsonl").touch()
    answer = await service.get("/api/admin/unassigned?limit=2")
    moment = "2025-10-09T08:53:20+00:00"
    assert answer.json == {
        "rows": [
            {"directory": "dave", "sessions": 1, "size_bytes": 5, "last_session_at": moment},
            {"directory": "empty", "sessions": 0, "size_bytes": 0, "last_session_at": None},
        ],
        "pagination": {"limit": 2, "offset": 0, "total": 3},
    }
    assert (await put(service, "u-2", {"email": "dave@example.com"})).status == 201
    assert (await service.get("/api/admin/unassigned")).json["pagination"]["total"] == 2
