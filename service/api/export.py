"""GET and HEAD /api/admin/users/{user_id}/sessions/download-all."""

from http import HTTPStatus

from aiohttp import hdrs, web

from service.api.archive import Export, changed_since_pinned, head_archive, reject_http_1_0, send_archive
from service.api.parts import ARCHIVES, SESSIONS, SETTINGS
from service.archive import Compression, Folder, Source
from service.http.problems import Problem
from service.http.query import Query, Text
from service.sessions import UserSessions


class ExportQuery(Query):
    """How the archive is compressed, where the request says so, and the tag of the plan that it must be of."""

    compression: Compression | None = None
    snapshot: Text | None = None


async def download_all(request: web.Request) -> web.StreamResponse:
    """All of a user's session files as a ZIP, made while it is sent, or a range of it."""
    reject_http_1_0(request)
    query = ExportQuery.of(request)
    async with request.app[SESSIONS].of(request.match_info["user_id"]) as sessions:
        return await send_archive(request, await _export(request, query, sessions))


async def head_download_all(request: web.Request) -> web.StreamResponse:
    """The headers alone: no file is read, nothing is audited."""
    reject_http_1_0(request)
    query = ExportQuery.of(request)
    async with request.app[SESSIONS].of(request.match_info["user_id"]) as sessions:
        return await head_archive(request, await _export(request, query, sessions))


async def _export(request: web.Request, query: ExportQuery, sessions: UserSessions) -> Export:
    """What is asked for, as the files are now, or as they were in the plan that the request names."""
    if not await sessions.exist():
        raise Problem(HTTPStatus.NOT_FOUND, "The user has no sessions directory.")
    folders = (Folder("", await sessions.listing()),)
    sessions.close()  # a request that waits for a slot holds none of the descriptors that running exports need
    archives = request.app[ARCHIVES]
    plan = await archives.plan(folders, query.compression or request.app[SETTINGS].exports.compression)
    scope = f"{sessions.user.id}/{plan.compression}"
    wanted = query.snapshot or request.headers.get(hdrs.IF_RANGE, "").strip('" ')
    named = await archives.find(scope, wanted, plan)
    if query.snapshot and named is None:
        raise changed_since_pinned()
    plan = named or plan
    return Export(
        plan=plan,
        sources={"": Source(sessions.open_files)},
        scope=scope,
        pinned=query.snapshot is not None,
        filename=f"{sessions.username}-sessions",
        resource=f"users/{sessions.user.id}/sessions",
        params={"username": sessions.username, "archive": plan.tag},
    )
