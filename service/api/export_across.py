"""GET and HEAD /api/admin/sessions/download-all: an export of the sessions of many users."""

from functools import partial
from operator import attrgetter

from aiohttp import web

from service.api.across_record import RESOURCE, AcrossRecord
from service.api.archive import (
    ArchiveQuery,
    Export,
    head_archive,
    plan_archive,
    reject_http_1_0,
    send_archive,
    too_many_files,
)
from service.api.export import selected_name, selected_params
from service.api.parts import DIRECTORY, SESSIONS, SETTINGS
from service.api.selection import AcrossUsersSelectionQuery
from service.archive import Folder, Origin, Source, folder_path
from service.sessions import Selection

MOST_UNASSIGNED = 10_000  # directories that a manifest names


class ExportAcrossQuery(AcrossUsersSelectionQuery, ArchiveQuery):
    """Which sessions of all users are exported. The archive always has a manifest."""


async def download_all(request: web.Request) -> web.StreamResponse:
    """The selected session files of all users as a ZIP, made while it is sent, or a range of it."""
    reject_http_1_0(request)
    return await send_archive(request, await _export(request, ExportAcrossQuery.of(request)))


async def head_download_all(request: web.Request) -> web.StreamResponse:
    """The headers alone: no file is read, nothing is audited."""
    reject_http_1_0(request)
    return await head_archive(request, await _export(request, ExportAcrossQuery.of(request)))


async def _export(request: web.Request, query: ExportAcrossQuery) -> Export:
    selection = query.selection()
    folders, sources = await _selected_users(request, selection)
    origin = Origin(selection.params(), [] if selection.user_ids else await _unassigned(request))
    scope = repr((selection, query.compression))
    plan = await plan_archive(request, query, folders, origin, scope)
    return Export(
        plan=plan,
        sources=sources,
        scope=scope,
        pinned=query.snapshot is not None,
        filename=selected_name(selection),
        resource=RESOURCE,
        params=selected_params(selection),
        record=partial(AcrossRecord, plan.folders),
    )


async def _selected_users(request: web.Request, selection: Selection) -> tuple[list[Folder], dict[str, Source]]:
    """The folders, sorted, with their selected files, and the sources of these. Raises a Problem with status 422 for
    too many files: they are counted to the end, but not kept in memory."""
    most = request.app[SETTINGS].exports.max_files
    count = 0
    folders, sources = [], {}
    async for user, listing, open_files in request.app[SESSIONS].select(selection):
        count += len(listing.names)
        if count <= most:
            folder = Folder(folder_path(user.id), listing, user.id, user.email)
            folders.append(folder)
            sources[folder.path] = Source(open_files)
    if count > most:
        raise too_many_files(count, most)
    return sorted(folders, key=attrgetter("path")), sources


async def _unassigned(request: web.Request) -> list[dict[str, object]]:
    """The directories that belong to no user: their sessions are in no archive."""
    rows, _ = await request.app[DIRECTORY].unassigned(MOST_UNASSIGNED, 0)
    return [{"directory": row.directory, "sessions": row.sessions} for row in rows]
