"""GET and HEAD /api/admin/users/{user_id}/sessions/download-all."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import HttpVersion11, hdrs, web

from service.api.parts import DEFLATE_POOL, EXPORT_POOL, SESSIONS, SETTINGS
from service.archive import Archive, Compression, streamed
from service.catalog.actions import EXPORT
from service.http.disposition import attachment
from service.http.problems import Problem
from service.http.query import Query
from service.http.requests import ACTOR, describe_caller
from service.sessions import UserSessions
from service.store import Listing, Skipped
from service.transfers.admission import ADMISSION
from service.transfers.record import SingleRecord
from service.transfers.transfer import TRANSFERS
from service.transfers.volume import Volume

log = logging.getLogger(__name__)

MOST_TOLD = 20  # files that an export left out, in the log; all of them stand in its last member


class ExportQuery(Query):
    """How the archive is compressed, where the request says so."""

    compression: Compression | None = None


async def download_all(request: web.Request) -> web.StreamResponse:
    """All of a user's session files as a ZIP, made while it is sent."""
    _refuse_http_1_0(request)
    compression = ExportQuery.of(request).compression or request.app[SETTINGS].exports.compression
    async with request.app[SESSIONS].of(request.match_info["user_id"]) as sessions:
        if not await sessions.exist():
            raise _no_directory()
        sessions.close()  # a request that waits for a slot holds none of the descriptors that running exports need
        async with request.app[ADMISSION].slot(request[ACTOR].user_id):
            listing = await sessions.listing()
            archive = Archive(listing, sessions.open_blocking, request.app[DEFLATE_POOL], compression)
            try:
                return await request.app[TRANSFERS].send(
                    request,
                    _response(sessions, listing),
                    streamed(archive, request.app[EXPORT_POOL]),
                    _record(sessions, listing, archive),
                )
            finally:
                _tell_skipped(request, sessions, archive.skipped)


async def head_download_all(request: web.Request) -> web.StreamResponse:
    """The headers alone, as a look at each file gives them: none is read, nothing is audited."""
    _refuse_http_1_0(request)
    ExportQuery.of(request)
    async with request.app[SESSIONS].of(request.match_info["user_id"]) as sessions:
        if not await sessions.exist():
            raise _no_directory()
        return _response(sessions, await sessions.listing())


def _response(sessions: UserSessions, listing: Listing) -> web.StreamResponse:
    """How much is to come can only be told as listed: files and their bytes, neither compressed nor framed."""
    filename = f"{sessions.username}-sessions-{datetime.now(UTC):%Y-%m-%d}.zip"
    response = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: "application/zip",
            hdrs.CONTENT_DISPOSITION: attachment(filename),
            hdrs.CACHE_CONTROL: "no-store",
            "X-Accel-Buffering": "no",
            "X-Export-Files": str(len(listing.names)),
            "X-Export-Bytes": str(listing.total_bytes),
        }
    )
    response.enable_chunked_encoding()
    return response


def _record(sessions: UserSessions, listing: Listing, archive: Archive) -> SingleRecord:
    return SingleRecord(
        action=EXPORT,
        resource=f"users/{sessions.user.id}/sessions",
        params={"username": sessions.username},
        announced=Volume(file_count=len(listing.names), total_bytes=listing.total_bytes),
        volume=lambda sent: Volume(archive.file_count, archive.total_bytes, len(archive.skipped), sent),
    )


def _tell_skipped(request: web.Request, sessions: UserSessions, skipped: Sequence[Skipped]) -> None:
    whose = f"users/{sessions.user.id}/sessions to {describe_caller(request)}"
    for item in skipped[:MOST_TOLD]:
        log.warning("%s: left out %r: %s", whose, item.name, item.reason)
    if len(skipped) > MOST_TOLD:
        log.warning("%s: left out %d more", whose, len(skipped) - MOST_TOLD)


def _refuse_http_1_0(request: web.Request) -> None:
    """Its end of a body is the end of the connection: a broken archive would look like a whole one."""
    if request.version < HttpVersion11:
        raise Problem(
            HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
            "Over HTTP/1.0 a broken archive cannot be told from a whole one; use HTTP/1.1 (behind nginx: "
            "proxy_http_version 1.1).",
        )


def _no_directory() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "The user has no sessions directory.")
