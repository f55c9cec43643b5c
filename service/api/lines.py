"""GET /api/admin/users/{user_id}/sessions/{session_file}/lines."""

import codecs
import json

from aiohttp import web
from pydantic import Field

from service.api.parts import AUDIT, FILES_POOL
from service.api.session_file import open_session_file
from service.catalog.actions import SESSION_VIEW
from service.http.query import Flag, Query, WholeNumber
from service.sessions.line_pages import PageLine, json_value, read_page
from service.store import OpenFile
from service.transfers.events import event_of
from service.transfers.record import Entry


class LinesQuery(Query):
    """At most `limit` lines from the byte `from` on; with `errors`, only those that report a failed tool call."""

    start: WholeNumber = Field(0, ge=0, lt=2**63, alias="from")
    limit: WholeNumber = Field(100, ge=1, le=200)
    errors: Flag = False


async def get_lines(request: web.Request) -> web.Response:
    """A page of a session's lines. Its row is in the audit log before a line is sent."""
    query = LinesQuery.of(request)
    async with open_session_file(request) as (sessions, file):
        pool = request.app[FILES_POOL]
        # To its end: the file must not be closed while the thread reads it.
        body, content_bytes = await pool.run_to_end(_read, lambda _: None, file, query)
        params = {
            "username": sessions.username,
            "session_file": file.name,
            "from": query.start,
            "bytes": content_bytes,
        }
        if query.errors:
            params["errors"] = True
        entry = Entry(f"users/{sessions.user.id}/sessions/{file.name}", params)
    await request.app[AUDIT].write(event_of(request, SESSION_VIEW, entry))
    return web.Response(body=body, content_type="application/json", charset="utf-8")


def _read(file: OpenFile, query: LinesQuery) -> tuple[bytes, int]:
    """The page as JSON, and how many bytes of the session are in it. Blocks."""
    page = read_page(file, query.start, query.limit, errors=query.errors)
    lines = b", ".join(map(_line, page.lines))
    return b'{"lines": [%s], "next": %s, "size": %d}' % (lines, _json(page.next), page.size), page.content_bytes


def _line(line: PageLine) -> bytes:
    """A JSON line is copied unchanged, so numbers lose no digit and members keep their order."""
    value = json_value(line)
    place = b'"offset": %d, "length": %d' % (line.offset, line.length)
    if value is not None:
        return b'{%s, "value": %s}' % (place, value)
    return b'{%s, "value": null, "text": %s%s}' % (place, _json(_text(line)), b', "cut": true' if line.is_cut else b"")


def _text(line: PageLine) -> str:
    """Bytes that are not UTF-8 become `\\xff`; an incomplete character at the cut is left out."""
    return codecs.getincrementaldecoder("utf-8")("backslashreplace").decode(line.content, final=not line.is_cut)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
