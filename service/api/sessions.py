"""GET /api/admin/users/{user_id}/sessions."""

from aiohttp import web

from service.api.parts import SESSIONS
from service.api.selection import OneUsersSelectionQuery
from service.http.pages import PageQuery, page_response


async def list_sessions(request: web.Request) -> web.Response:
    """A page of a user's sessions, of those that are selected where the request selects."""
    query = PageQuery.of(request)
    selection = OneUsersSelectionQuery.of(request).selection()
    async with request.app[SESSIONS].of(request.match_info["user_id"]) as sessions:
        if selection.is_everything:
            rows, total = await sessions.page(query.limit, query.offset)
        else:
            rows, total = await sessions.selected_page(selection, query.limit, query.offset)
    return page_response(rows, query, total)
