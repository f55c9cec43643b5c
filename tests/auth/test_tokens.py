import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from service.catalog import User
from tests.world import ADMIN, PLAIN, World, assert_problem, token

PATHS = [
    "u-1/sessions",
    "nobody/sessions",
    "u-1/sessions?limit=0",
    "u-1/sessions/download-all",
    "nobody/sessions/download-all",
    "u-1/sessions/a.jsonl/download",
    "u-1/sessions/..%2Fx/download",
    "u-1/activity",
    "/api/admin",
    "/api/admin/nothing/here",
    "/api/%61dmin/users/u-1/sessions",
]
METHODS = ["GET", "HEAD", "POST", "DELETE", "OPTIONS"]


@pytest.mark.parametrize("path", PATHS)
async def test_without_a_token_everything_below_admin_is_401(service: World, path: str) -> None:
    service.file("a.jsonl")
    for method in METHODS:
        answer = await service.get(path, method, token=None)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        if method != "HEAD":
            assert_problem(answer, 401)


@pytest.mark.parametrize("path", PATHS)
async def test_a_known_caller_who_is_no_admin_gets_403_everywhere(service: World, path: str) -> None:
    service.file("a.jsonl")
    for method in METHODS:
        answer = await service.get(path, method, token=PLAIN)
        assert answer.status == 403
        assert "WWW-Authenticate" not in answer.headers
    assert await service.audit() == []


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", f"Basic {ADMIN}", ADMIN, "Bearer wrong", f"Bearer {ADMIN}x", f"Bearer  {ADMIN} {ADMIN}",
     "Bearer \u00fc", f"Token {ADMIN}"],
)  # fmt: skip
async def test_what_is_not_a_known_token_is_401(service: World, header: str) -> None:
    answer = await service.get("u-1/sessions", token=None, headers={"Authorization": header})
    assert_problem(answer, 401)


async def test_two_authorization_headers_are_none(service: World) -> None:
    headers = [("Authorization", f"Bearer {ADMIN}"), ("Authorization", "Bearer wrong")]
    async with service.client.get(service.url("u-1/sessions"), headers=headers) as response:
        assert response.status == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_not_case_sensitive(service: World, scheme: str) -> None:
    answer = await service.get("u-1/sessions", token=None, headers={"Authorization": f"{scheme} {ADMIN}"})
    assert answer.status == 200


async def test_an_expired_token_is_401_and_one_that_expires_later_is_good(world: World) -> None:
    now = datetime.now(UTC)
    world.tokens = (
        token("past", "a", admin=True, expires_at=now - timedelta(seconds=1)),
        token("naive", "a", admin=True, expires_at=(now - timedelta(seconds=1)).replace(tzinfo=None)),
        token("future", "a", admin=True, expires_at=now + timedelta(hours=1)),
    )
    service = await world.start()
    for text, status in (("past", 401), ("naive", 401), ("future", 200)):
        assert (await service.get("u-1/sessions", token=text)).status == status


async def test_the_token_of_a_user_who_is_not_active_is_401(service: World) -> None:
    await service.add_users(User("admin1", "admin@example.com", None))
    assert (await service.get("u-1/sessions")).status == 200
    await service.sql("UPDATE users SET active = FALSE WHERE id = 'admin1'")
    assert_problem(await service.get("u-1/sessions"), 401)


async def test_nothing_is_let_in_when_the_catalog_cannot_say_who_is_active(service: World) -> None:
    await service.sql("DROP TABLE users")
    assert_problem(await service.get("u-1/sessions"), 503)


async def test_a_refusal_is_logged_with_address_and_reason_and_never_with_the_token(
    service: World, caplog: pytest.LogCaptureFixture
) -> None:
    await service.get("u-1/sessions", token="secret-but-wrong")
    await service.get("u-1/sessions", token=PLAIN)
    assert "refused 401 from 127.0.0.1: unknown token (GET /api/admin/users/{user_id}/sessions)" in caplog.text
    assert "refused 403 from 127.0.0.1: user 'someone' is not an admin" in caplog.text
    assert "secret-but-wrong" not in caplog.text
    assert PLAIN not in caplog.text


@pytest.mark.parametrize("path", ["u-1/sessions", "u-1/sessions/download-all", "u-1/activity"])
@pytest.mark.parametrize("expect", ["100-continue", "something"])
async def test_an_expectation_is_not_answered_before_it_is_known_who_asks(
    service: World, path: str, expect: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.running.port)
    url = f"/api/admin/users/{path}"
    writer.write(f"GET {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: {expect}\r\n\r\n".encode())
    received = await reader.read()
    writer.close()
    assert received.startswith(b"HTTP/1.1 401 ")
    assert b"application/problem+json" in received
