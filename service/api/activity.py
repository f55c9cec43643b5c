"""GET /api/admin/users/{user_id}/activity."""

import logging

from aiohttp import web

from service.api.parts import AUDIT
from service.auth import USERS
from service.catalog import CatalogError
from service.catalog.actions import ACTIVITY_READ
from service.http.pages import PageQuery, page_response
from service.sessions import UserNotFound
from service.transfers.events import event_of
from service.transfers.record import Entry

log = logging.getLogger(__name__)


async def list_activity(request: web.Request) -> web.Response:
    """A page of what a user did, newest first. To read it is an access of its own and is written down."""
    query = PageQuery.of(request)
    user_id = request.match_info["user_id"]
    audit = request.app[AUDIT]
    total = await audit.count(user_id)
    # Somebody who only has a token acts without being in the catalog; what they did must be found all the same.
    if total == 0 and await request.app[USERS].find(user_id) is None:
        raise UserNotFound
    rows = await audit.page(user_id, query.limit, query.offset)
    await _note_access(request, user_id, query, len(rows))
    return page_response(rows, query, total)


async def _note_access(request: web.Request, user_id: str, query: PageQuery, row_count: int) -> None:
    params = {"target_user_id": user_id, "limit": query.limit, "offset": query.offset, "row_count": row_count}
    event = event_of(request, ACTIVITY_READ, Entry(f"users/{user_id}/activity", params))
    try:
        await request.app[AUDIT].write(event)
    except CatalogError as error:
        log.error("reading activity is not in the audit log: %s", error)  # noqa: TRY400
