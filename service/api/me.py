"""GET /api/admin/me."""

from aiohttp import web

from service.http.requests import ACTOR


async def get_me(request: web.Request) -> web.Response:
    """The caller, as the service has authenticated them."""
    actor = request[ACTOR]
    return web.json_response({"user_id": actor.user_id, "name": actor.name, "via": actor.via})
