import pytest

from service.config import ProxyHeaders, Server
from tests.issuer import SECRET, jwt_settings, sign
from tests.world import ADMIN, World

CALLERS = {
    "token": ({"Authorization": f"Bearer {ADMIN}"}, {"user_id": "admin1", "name": "admin1", "via": "token"}),
    "proxy": ({"X-User": "p", "X-Groups": "admins"}, {"user_id": "p", "name": "proxy", "via": "proxy"}),
}


@pytest.fixture
async def open_to_all_methods(world: World) -> World:
    world.server = Server.model_validate({"shutdown_timeout": 1, "trusted_proxies": ["127.0.0.1"]})
    world.proxy = ProxyHeaders(user_header="X-User", groups_header="X-Groups", admin_group="admins")
    world.jwt = jwt_settings(algorithms=["HS256"], secret=SECRET)
    return await world.start()


@pytest.mark.parametrize("via", CALLERS)
async def test_a_caller_sees_who_they_are_and_how_they_are_known(open_to_all_methods: World, via: str) -> None:
    headers, expected = CALLERS[via]
    answer = await open_to_all_methods.get("/api/admin/me", token=None, headers=headers)
    assert (answer.status, answer.json) == (200, expected)


async def test_a_jwt_is_named_as_such(open_to_all_methods: World) -> None:
    headers = {"Authorization": f"Bearer {sign(SECRET, 'HS256')}"}  # made now, as it is valid from now on
    answer = await open_to_all_methods.get("/api/admin/me", token=None, headers=headers)
    assert answer.json == {"user_id": "jwt-admin", "name": "JWT", "via": "jwt"}


async def test_asking_who_one_is_leaves_no_row(service: World) -> None:
    assert (await service.get("/api/admin/me")).status == 200
    assert (await service.get("/api/admin/me", "HEAD")).body == b""
    assert await service.audit() == []
