"""GET and HEAD /api/admin/users/{user_id}/sessions/download-all."""

from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import web

from service.api.archive import ArchiveQuery, Export, head_archive, plan_archive, reject_http_1_0, send_archive
from service.api.parts import SESSIONS
from service.api.selection import OneUsersSelectionQuery
from service.archive import Archive, Folder, Origin, Part, Source, without_reserved_name
from service.catalog.actions import EXPORT
from service.http.problems import Problem
from service.http.query import Flag
from service.sessions import Selection, UserSessions
from service.transfers.record import SingleRecord
from service.transfers.volume import Volume


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
    if not await sessions.exist():
        raise Problem(HTTPStatus.NOT_FOUND, "The user has no sessions directory.")
    user, selection = sessions.user, query.selection()
    listing = await sessions.selected(selection)
    sessions.close()  # a request that waits for a slot holds none of the descriptors that running exports need
    origin = Origin(selection.params()) if query.manifest else None
    folders = (Folder("", without_reserved_name(listing) if origin else listing, user.id, user.email),)
    scope = repr((user.id, selection, query.compression, query.manifest))
    resource = f"users/{user.id}/sessions"
    return Export(
        plan=await plan_archive(request, query, folders, origin, scope),
        sources={"": Source(sessions.open_files)},
        scope=scope,
        pinned=query.snapshot is not None,
        filename=f"{sessions.username}-{selected_name(selection)}",
        resource=resource,
        params={"username": sessions.username} | selected_params(selection),
        record=partial(_record, resource),
    )


def _record(resource: str, archive: Archive | Part, announced: Volume, params: dict[str, Any]) -> SingleRecord:
    counts = archive.counts
    return SingleRecord(
        action=EXPORT,
        resource=resource,
        params=params,
        announced=announced,
        volume=lambda sent: Volume(counts.file_count, counts.total_bytes, len(archive.skipped), sent),
    )


def selected_name(selection: Selection) -> str:
    """The part of an archive's file name that describes the selection."""
    return "sessions" if selection.is_everything else "sessions-selected"


def selected_params(selection: Selection) -> dict[str, Any]:
    """The audit parameters of a selection; empty if everything was exported."""
    return {} if selection.is_everything else {"selection": selection.params()}
