"""GET /api/admin/audit."""

from typing import Self

from aiohttp import web
from pydantic import model_validator
from pydantic_core import PydanticCustomError

from service.api.parts import AUDIT_SEARCH
from service.api.reads import note_read
from service.catalog import AfterRow, AuditQuery
from service.catalog.actions import AUDIT_READ
from service.http.cursors import CursorQuery, new_cursor
from service.http.pages import cursor_response
from service.http.query import Moment, Text


class AuditLogQuery(CursorQuery):
    """The filters: who did it, whose sessions, which action and result, when, and in which request."""

    actor: Text | None = None
    about: Text | None = None
    action: Text | None = None
    result: Text | None = None
    since: Moment | None = None
    until: Moment | None = None
    correlation_id: Text | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since and self.until and self.since > self.until:
            raise PydanticCustomError("since_after_until", "since should not be after until")
        return self


async def list_audit(request: web.Request) -> web.Response:
    """A page of the audit log, newest first. Reading it is itself audited."""
    query = AuditLogQuery.of(request)
    asked = AuditQuery(
        query.actor, query.about, query.action, query.result, query.since, query.until, query.correlation_id
    )
    bound = {"list": "audit", **asked.params()}
    place = query.place(bound, int, str)
    after = None if place is None else AfterRow(*place)
    rows, following, total = await request.app[AUDIT_SEARCH].page(asked, after, query.limit)
    await note_read(request, AUDIT_READ, "audit", {**asked.params(), "limit": query.limit, "row_count": len(rows)})
    return cursor_response(rows, None if following is None else new_cursor(following.values(), bound), total)
