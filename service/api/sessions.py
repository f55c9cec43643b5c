"""GET /api/admin/users/{user_id}/sessions; for all users, GET /api/admin/sessions and /api/admin/sessions/days."""

from aiohttp import web

from service.api.parts import SESSIONS
from service.api.reads import note_read
from service.api.selection import AcrossUsersSelectionQuery, OneUsersSelectionQuery
from service.catalog import After, Sort
from service.catalog.actions import SESSIONS_READ
from service.http.cursors import CursorQuery, new_cursor
from service.http.pages import PageQuery, cursor_response, fields_of, json_response, page_response
from service.http.query import Query


class SortQuery(Query):
    """The sort keys of a list across users, descending."""

    sort: Sort = Sort.STARTED_AT


async def list_sessions(request: web.Request) -> web.Response:
    """A page of a user's sessions, or of the selected ones."""
    query = PageQuery.of(request)
    selection = OneUsersSelectionQuery.of(request).selection()
    async with request.app[SESSIONS].of(request.match_info["user_id"]) as sessions:
        if selection.is_everything:
            rows, total = await sessions.page(query.limit, query.offset)
        else:
            rows, total = await sessions.selected_page(selection, query.limit, query.offset)
    return page_response(rows, query, total)


async def list_all_sessions(request: web.Request) -> web.Response:
    """A page of the sessions of all users. Reading it is itself audited."""
    selection = AcrossUsersSelectionQuery.of(request).selection()
    sort = SortQuery.of(request).sort
    query = CursorQuery.of(request)
    asked = {"list": "sessions", "sort": sort.value, **selection.params()}
    place = query.place(asked, int, str, str)
    after = None if place is None else After(*place)
    rows, following, total = await request.app[SESSIONS].across(selection, sort, after, query.limit)
    await note_read(
        request,
        SESSIONS_READ,
        "sessions",
        {"selection": selection.params(), "sort": sort.value, "limit": query.limit, "row_count": len(rows)},
    )
    return cursor_response(rows, None if following is None else new_cursor(following.values(), asked), total)


async def count_sessions_by_day(request: web.Request) -> web.Response:
    """How many sessions of all users began on each day. No session is named, so it is not audited."""
    selection = AcrossUsersSelectionQuery.of(request).selection()
    rows = await request.app[SESSIONS].by_day(selection)
    return json_response({"rows": [fields_of(row) for row in rows]})
