"""GET /api/admin/users/{user_id}/sessions."""

from aiohttp import web

from service.api.parts import SESSIONS
from service.http.pages import PageQuery, page_response


async def list_sessions(request: web.Request) -> web.Response:
    """A page of a user's sessions."""
    query = PageQuery.of(request)
    async with request.app[SESSIONS].of(request.match_info["user_id"]) as sessions:
        rows, total = await sessions.page(query.limit, query.offset)
    return page_response(rows, query, total)
