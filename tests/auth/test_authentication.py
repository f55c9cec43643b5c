"""Every way to say who one is, sent while it is on and while it is off."""

import pytest

from service.config import ConfigError, ProxyHeaders, Server, Token
from tests.issuer import SECRET, jwt_settings, sign
from tests.world import ADMIN, PLAIN, World, assert_problem, token

PROXY = ProxyHeaders(user_header="X-User", groups_header="X-Groups", admin_group="admins")
LOCAL = Server.model_validate({"shutdown_timeout": 1, "trusted_proxies": ["127.0.0.1"]})
ELSEWHERE = Server.model_validate({"shutdown_timeout": 1, "trusted_proxies": ["192.0.2.1"]})


def sent() -> dict[str, tuple[dict[str, str], str, int]]:
    """What is sent, the way that knows it, and the answer while that way is on. Its JWTs are made now."""
    return {
        "an admin's token": ({"Authorization": f"Bearer {ADMIN}"}, "tokens", 200),
        "another token": ({"Authorization": f"Bearer {PLAIN}"}, "tokens", 403),
        "an unknown token": ({"Authorization": "Bearer known-to-nobody"}, "tokens", 401),
        "an admin's JWT": ({"Authorization": f"Bearer {sign(SECRET, 'HS256')}"}, "jwt", 200),
        "another JWT": ({"Authorization": f"Bearer {sign(SECRET, 'HS256', groups=['all'])}"}, "jwt", 403),
        "a JWT of nobody": ({"Authorization": f"Bearer {sign(SECRET[::-1], 'HS256')}"}, "jwt", 401),
        "an admin's headers": ({"X-User": "p", "X-Groups": "all, admins"}, "proxy", 200),
        "another's headers": ({"X-User": "p", "X-Groups": "all,administrators,not admins"}, "proxy", 403),
        "no groups": ({"X-User": "p"}, "proxy", 403),
        "no user": ({"X-Groups": "admins"}, "proxy", 401),
        "an empty user": ({"X-User": "", "X-Groups": "admins"}, "proxy", 401),
        "an unusable user": ({"X-User": "p\u202eq", "X-Groups": "admins"}, "proxy", 401),
        "a very long user": ({"X-User": "p" * 257, "X-Groups": "admins"}, "proxy", 401),
        "nothing": ({}, "none", 401),
    }  # fmt: skip


def turn_on(world: World, ways: set[str]) -> None:
    world.server = LOCAL
    world.jwt = jwt_settings(algorithms=["HS256"], secret=SECRET) if "jwt" in ways else None
    world.proxy = PROXY if "proxy" in ways else None
    if "tokens" not in ways:
        world.tokens = ()


@pytest.mark.parametrize(
    "on", [{"tokens"}, {"jwt"}, {"proxy"}, {"tokens", "jwt", "proxy"}], ids=lambda on: "+".join(sorted(on))
)
async def test_each_way_lets_in_whom_it_knows_and_only_while_it_is_on(world: World, on: set[str]) -> None:
    turn_on(world, on)
    service = await world.start()
    for name, (headers, way, status) in sent().items():
        answer = await service.get("u-1/activity", token=None, headers=headers)
        assert answer.status == (status if way in on else 401), name
        if answer.status != 200:
            assert_problem(answer, answer.status)


async def test_who_was_known_in_whichever_way_is_in_the_audit_log(world: World) -> None:
    turn_on(world, {"tokens", "jwt", "proxy"})
    service = await world.start()
    for name in ("an admin's token", "an admin's JWT", "an admin's headers"):
        await service.get("u-1/activity", token=None, headers=sent()[name][0])
    assert [row["user_id"] for row in await service.audit()] == ["admin1", "jwt-admin", "p"]


async def test_headers_of_anybody_but_a_trusted_proxy_are_as_good_as_nothing(world: World) -> None:
    world.server, world.proxy = ELSEWHERE, PROXY
    service = await world.start()
    forged = sent()["an admin's headers"][0]
    for more in ({}, {"X-Forwarded-For": "192.0.2.1"}, {"Forwarded": "for=192.0.2.1"}):
        assert (await service.get("u-1/activity", token=None, headers=forged | more)).status == 401
    await service.get("u-1/activity", headers=forged)
    assert [row["user_id"] for row in await service.audit()] == ["admin1"]


@pytest.mark.parametrize("name", ["X-User", "X-Groups"])
async def test_an_identity_header_that_comes_twice_is_refused(world: World, name: str) -> None:
    world.server, world.proxy = LOCAL, PROXY
    service = await world.start()
    headers = [("X-User", "p"), ("X-Groups", "admins"), (name, "admins")]
    async with service.client.get(service.url("u-1/activity"), headers=headers) as response:
        assert response.status == 401


async def test_a_bearer_token_that_nobody_knows_is_refused_whatever_the_proxy_says(world: World) -> None:
    turn_on(world, {"tokens", "proxy"})
    service = await world.start()
    headers = sent()["an admin's headers"][0]
    assert (await service.get("u-1/activity", token="unknown", headers=headers)).status == 401
    basic = {"Authorization": "Basic Zm9vOmJhcg=="}  # such as the proxy itself was sent
    assert (await service.get("u-1/activity", token=None, headers=headers | basic)).status == 200


async def test_a_user_who_is_not_active_is_refused_in_every_way(world: World) -> None:
    turn_on(world, {"tokens", "jwt", "proxy"})
    service = await world.start()
    for user in ("admin1", "jwt-admin", "p"):
        await service.sql("INSERT INTO users (id, email, active) VALUES ($1, $2, FALSE)", [user, user])
    for name in ("an admin's token", "an admin's JWT", "an admin's headers"):
        assert (await service.get("u-1/activity", token=None, headers=sent()[name][0])).status == 401, name


async def test_refusals_are_logged_with_address_and_reason_and_never_with_what_was_sent(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    turn_on(world, {"tokens", "jwt", "proxy"})
    service = await world.start()
    refused = {name: headers for name, (headers, _, status) in sent().items() if status != 200}
    for headers in refused.values():
        await service.get("u-1/sessions", token=None, headers=headers | {"X-Forwarded-For": "203.0.113.7"})
    lines = [record.getMessage() for record in caplog.records if record.name == "service.auth.guard"]
    assert len(lines) == len(refused)
    assert all("from 203.0.113.7: " in line for line in lines)
    for reason in ("401 from 203.0.113.7: JWT: Signature verification failed", "unknown token", "is not an admin"):
        assert any(reason in line for line in lines), reason
    for headers in refused.values():
        proof = headers.get("Authorization", "Bearer -").removeprefix("Bearer ")
        assert proof == "-" or proof not in caplog.text


@pytest.mark.parametrize(
    ("server", "tokens", "words"),
    [
        (LOCAL, (), "auth.tokens: no authentication method"),
        (Server(), (token(ADMIN, "a", admin=True),), "auth.proxy: needs server.trusted_proxies"),
    ],
)
async def test_the_service_does_not_start_without_a_way_or_with_half_of_one(
    world: World, server: Server, tokens: tuple[Token, ...], words: str
) -> None:
    world.server, world.tokens, world.proxy = server, tokens, PROXY if tokens else None
    with pytest.raises(ConfigError, match=words):
        await world.start()
