"""Responses with an archive: the whole, a range of it, or the headers alone (RFC 9110 sections 13 and 14).

A range is honored only if the request identifies the archive: with a matching `If-Range`, or on a URL that pins a plan.
curl, wget and aria2 send no `If-Range`, and a range of a plan that has changed would join two different archives.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion11, hdrs, web

from service.api.parts import ARCHIVES, SETTINGS
from service.archive import Archive, Changed, Compression, Folder, Layout, Origin, Part, Plan, Sources
from service.http.conditions import (
    NotSatisfiable,
    Validators,
    byte_range,
    content_range,
    precondition_response,
    requested_range,
)
from service.http.disposition import attachment
from service.http.problems import Problem
from service.http.query import Query, Text
from service.http.requests import ACTOR, describe_caller, sent_url
from service.store import Skipped
from service.transfers.admission import ADMISSION
from service.transfers.record import Record
from service.transfers.transfer import TRANSFERS
from service.transfers.volume import Volume

log = logging.getLogger(__name__)

MOST_LOGGED = 20  # skipped files of one export; the archive's last member lists all


@dataclass(frozen=True, slots=True)
class Export:
    """A requested export: its plan, and the sources of its files.

    `scope` is the same for every plan of the same files; `pinned` says that the URL has the plan's tag. `params` are
    in all audit rows of a transfer; `record` makes its record from the archive, the announced volume, and all
    parameters.
    """

    plan: Plan
    sources: Sources
    scope: str
    pinned: bool
    filename: str
    resource: str
    params: dict[str, Any]
    record: Callable[[Archive | Part, Volume, dict[str, Any]], Record]


class ArchiveQuery(Query):
    """The compression, and the tag of the plan that the archive must have; both are optional."""

    compression: Compression | None = None
    snapshot: Text | None = None


async def plan_archive(
    request: web.Request, query: ArchiveQuery, folders: Sequence[Folder], origin: Origin | None, scope: str
) -> Plan:
    """The plan of these files, which were just listed, or the plan that the request names, if it can still be served.
    Raises a Problem: 412 if the URL pins a plan that can no longer be served, 422 for too many files."""
    settings, archives = request.app[SETTINGS].exports, request.app[ARCHIVES]
    count = sum(len(folder.listing.names) for folder in folders)
    if count > settings.max_files:
        raise too_many_files(count, settings.max_files)
    current = await archives.plan(folders, query.compression or settings.compression, origin)
    wanted = query.snapshot or request.headers.get(hdrs.IF_RANGE, "").strip('" ')
    named = await archives.find(scope, wanted, current)
    if query.snapshot and named is None:
        raise _changed_since_pinned()
    return named or current


async def send_archive(request: web.Request, export: Export) -> web.StreamResponse:
    """The response to a GET."""
    validators = Validators(export.plan.tag)
    if not_modified := precondition_response(request, validators, "archive"):
        return not_modified
    wants_part = _requests_part(request, export, validators)
    archives = request.app[ARCHIVES]
    async with request.app[ADMISSION].slot(request[ACTOR].user_id, export.plan.tag if wants_part else None):
        archives.snapshots.keep(export.scope, export.plan)
        layout = await (_measure_layout(request, export) if wants_part else archives.layout(export.plan))
        if layout is None:
            return await _send_without_length(request, export)
        part = requested_range(request, validators, layout.size, "archive") if wants_part else None
        return await _send_with_length(request, export, layout, part)


async def head_archive(request: web.Request, export: Export) -> web.StreamResponse:
    """The headers of the whole archive. Ranges are for GET alone (RFC 9110 section 14.2)."""
    if not_modified := precondition_response(request, Validators(export.plan.tag), "archive"):
        return not_modified
    layout = await request.app[ARCHIVES].layout(export.plan)
    return _response(request, export, layout.size if layout else None)


def reject_http_1_0(request: web.Request) -> None:
    """HTTP/1.0 marks the end of a body by closing the connection: a broken archive would look like a complete one."""
    if request.version < HttpVersion11:
        raise Problem(
            HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
            "Over HTTP/1.0 a broken archive cannot be told from a whole one; use HTTP/1.1 (behind nginx: "
            "proxy_http_version 1.1).",
        )


def too_many_files(count: int, most: int) -> Problem:
    """The 422 for a selection of more files than an export may have."""
    message = f"{count:,} sessions are selected, more than the {most:,} that one export may have; narrow the selection."
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        message,
        errors=[{"loc": ["query"], "msg": message, "type": "too_many_files"}],
    )


def _changed_since_pinned() -> Problem:
    """The 412 for a URL that pins a plan which can no longer be served."""
    return Problem(
        HTTPStatus.PRECONDITION_FAILED, "The sessions are no longer what they were at that snapshot; export them again."
    )


def _requests_part(request: web.Request, export: Export, validators: Validators) -> bool:
    if not export.pinned and hdrs.IF_RANGE not in request.headers:
        return False
    try:
        return byte_range(request, validators, sys.maxsize) is not None
    except NotSatisfiable:
        return True


async def _measure_layout(request: web.Request, export: Export) -> Layout | None:
    """The layout; members without figures are measured first. None if that takes too long, or if a file has changed
    since the plan and the URL does not pin it."""
    patience = request.app[SETTINGS].exports.patience
    try:
        return await request.app[ARCHIVES].measure(export.plan, export.sources, patience)
    except Changed as error:
        log.warning("%s: %s: %s", export.resource, error.name, error)
        if export.pinned:
            raise _changed_since_pinned() from error
        return None


async def _send_without_length(request: web.Request, export: Export) -> web.StreamResponse:
    """Send a whole archive of unknown length: not all of its members were measured before."""
    archives = request.app[ARCHIVES]
    archive = archives.whole(export.plan, export.sources)
    announced = Volume(file_count=export.plan.file_count, total_bytes=export.plan.total_bytes)
    try:
        with archives.saving(archive):
            return await request.app[TRANSFERS].send(
                request,
                _response(request, export, None),
                archives.stream(archive),
                export.record(archive, announced, _params(export)),
            )
    finally:
        if not archive.kept_to_plan:
            archives.snapshots.revoke(export.plan.tag)
        _log_skipped(request, export, archive.skipped)


async def _send_with_length(
    request: web.Request, export: Export, layout: Layout, asked: range | None
) -> web.StreamResponse:
    """Send a whole archive of known length, or a part of it."""
    archives = request.app[ARCHIVES]
    wanted = range(layout.size) if asked is None else asked
    part = await archives.part(layout, wanted, export.sources)
    params = _params(export)
    response = _response(request, export, len(wanted))
    if asked is not None:
        response.set_status(HTTPStatus.PARTIAL_CONTENT)
        response.headers[hdrs.CONTENT_RANGE] = params["range"] = content_range(asked, layout.size)
    announced = Volume(file_count=part.files, total_bytes=part.text_bytes)
    try:
        return await request.app[TRANSFERS].send(
            request, response, archives.stream(part), export.record(part, announced, params)
        )
    except Changed as error:
        log.warning("%s: %s does not match its remembered figures, which are dropped", export.resource, error.name)
        raise
    finally:
        if asked is None:
            _log_skipped(request, export, part.skipped)


def _response(request: web.Request, export: Export, length: int | None) -> web.StreamResponse:
    """Without a length, the response is chunked. Its headers then still have the number of files and their bytes, as
    listed."""
    response = web.StreamResponse(
        headers=Validators(export.plan.tag).headers
        | {
            hdrs.CONTENT_TYPE: "application/zip",
            hdrs.CONTENT_DISPOSITION: attachment(f"{export.filename}-{datetime.now(UTC):%Y-%m-%d}.zip"),
            hdrs.CONTENT_LOCATION: str(sent_url(request).update_query(snapshot=export.plan.tag)),
            hdrs.ACCEPT_RANGES: "bytes",
            hdrs.CACHE_CONTROL: "no-store",
            "X-Accel-Buffering": "no",
            "X-Export-Files": str(export.plan.file_count),
            "X-Export-Bytes": str(export.plan.total_bytes),
        }
    )
    if length is None:
        response.enable_chunked_encoding()
    else:
        response.content_length = length
    return response


def _params(export: Export) -> dict[str, Any]:
    return export.params | {"archive": export.plan.tag}


def _log_skipped(request: web.Request, export: Export, skipped: Sequence[Skipped]) -> None:
    for item in skipped[:MOST_LOGGED]:
        log.warning("%s to %s: skipped %r: %s", export.resource, describe_caller(request), item.name, item.reason)
    if len(skipped) > MOST_LOGGED:
        log.warning("%s to %s: skipped %d more", export.resource, describe_caller(request), len(skipped) - MOST_LOGGED)
