"""GET /api/admin/users/{user_id}/activity."""

from aiohttp import web

from service.api.parts import AUDIT
from service.api.reads import note_read
from service.auth import USERS
from service.catalog.actions import ACTIVITY_READ
from service.http.pages import PageQuery, page_response
from service.sessions import UserNotFound


async def list_activity(request: web.Request) -> web.Response:
    """A page of a user's rows of the audit log, newest first. Reading them is audited."""
    query = PageQuery.of(request)
    user_id = request.match_info["user_id"]
    audit = request.app[AUDIT]
    total = await audit.count(user_id)
    # A caller with a token may be missing in the catalog, but still have audit rows.
    if total == 0 and await request.app[USERS].find(user_id) is None:
        raise UserNotFound
    rows = await audit.page(user_id, query.limit, query.offset)
    params = {"target_user_id": user_id, "limit": query.limit, "offset": query.offset, "row_count": len(rows)}
    await note_read(request, ACTIVITY_READ, f"users/{user_id}/activity", params)
    return page_response(rows, query, total)
