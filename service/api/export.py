"""GET and HEAD /api/admin/users/{user_id}/sessions/download-all."""

from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web

from service.api.archive import Export, changed_since_pinned, head_archive, reject_http_1_0, send_archive
from service.api.parts import ARCHIVES, SESSIONS, SETTINGS
from service.api.selection import OneUsersSelectionQuery
from service.archive import Compression, Folder, Origin, Source
from service.http.problems import Problem
from service.http.query import Flag, Query, Text
from service.sessions import Selection, UserSessions


class ArchiveQuery(Query):
    """How the archive is compressed, where the request says so, and the tag of the plan that it must be of."""

    compression: Compression | None = None
    snapshot: Text | None = None


class ExportQuery(OneUsersSelectionQuery, ArchiveQuery):
    """Which sessions of one user are exported, and whether the archive has a manifest."""

    manifest: Flag = False


async def download_all(request: web.Request) -> web.StreamResponse:
    """A user's session files as a ZIP, made while it is sent, or a range of it."""
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
    user, selection = sessions.user, query.selection()
    folders = (Folder("", await sessions.selected(selection), user.id, user.email),)
    sessions.close()  # a request that waits for a slot holds none of the descriptors that running exports need
    archives = request.app[ARCHIVES]
    compression = query.compression or request.app[SETTINGS].exports.compression
    origin = Origin(selection.params()) if query.manifest else None
    plan = await archives.plan(folders, compression, origin)
    scope = repr((user.id, selection, plan.compression, query.manifest))
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
        filename=f"{sessions.username}-sessions{'' if selection.is_everything else '-selected'}",
        resource=f"users/{user.id}/sessions",
        params={"username": sessions.username, "archive": plan.tag} | selected_params(selection),
    )


def selected_params(selection: Selection) -> dict[str, Any]:
    """What audit rows say of a selection; nothing where everything was exported."""
    return {} if selection.is_everything else {"selection": selection.params()}
