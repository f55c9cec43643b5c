"""GET and HEAD /api/admin/users/{user_id}/sessions/{session_file}/download."""

from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web

from service.api.session_file import open_session_file
from service.catalog.actions import DOWNLOAD
from service.http.conditions import Validators, content_range, precondition_response, requested_range
from service.http.disposition import attachment
from service.sessions import UserSessions
from service.store import OpenFile
from service.transfers.record import SingleRecord
from service.transfers.transfer import TRANSFERS
from service.transfers.volume import Volume


async def download(request: web.Request) -> web.StreamResponse:
    """A session file, or the range of it that the request asks for."""
    async with open_session_file(request) as (sessions, file):
        validators = Validators.of(file.size, file.mtime_ns, file.identity)
        if not_modified := precondition_response(request, validators):
            return not_modified
        part = requested_range(request, validators, file.size)
        wanted = range(file.size) if part is None else part
        response = _response(file, validators, len(wanted))
        if part is not None:
            response.set_status(HTTPStatus.PARTIAL_CONTENT)
            response.headers[hdrs.CONTENT_RANGE] = content_range(part, file.size)
        return await request.app[TRANSFERS].send(
            request, response, file.chunks(wanted), _record(request, sessions, file, wanted)
        )


async def head_download(request: web.Request) -> web.StreamResponse:
    """The headers of the whole file. Ranges are for GET alone (RFC 9110 section 14.2)."""
    async with open_session_file(request) as (_, file):
        validators = Validators.of(file.size, file.mtime_ns, file.identity)
        if not_modified := precondition_response(request, validators):
            return not_modified
        return _response(file, validators, file.size)


def _response(file: OpenFile, validators: Validators, length: int) -> web.StreamResponse:
    return web.StreamResponse(
        headers=validators.headers
        | {
            hdrs.CONTENT_TYPE: "application/x-ndjson",
            hdrs.CONTENT_DISPOSITION: attachment(file.name),
            hdrs.CONTENT_LENGTH: str(length),
            hdrs.ACCEPT_RANGES: "bytes",
            hdrs.CACHE_CONTROL: "no-store",
            "X-Accel-Buffering": "no",
        }
    )


def _record(request: web.Request, sessions: UserSessions, file: OpenFile, wanted: range) -> SingleRecord:
    params: dict[str, Any] = {"username": sessions.username, "session_file": file.name, "bytes": len(wanted)}
    if hdrs.RANGE in request.headers:
        params["range"] = _printable(request.headers[hdrs.RANGE][:200])
    return SingleRecord(
        action=DOWNLOAD,
        resource=f"users/{sessions.user.id}/sessions/{file.name}",
        params=params,
        announced=Volume(total_bytes=len(wanted)),
        volume=lambda sent: Volume(total_bytes=sent, bytes_sent=sent),
    )


def _printable(header: str) -> str:
    """A header's value as text for JSON; bytes that are not UTF-8 are escaped."""
    return header.encode("utf-8", "backslashreplace").decode()
