"""GET /api/admin/doctor/...: the responses that `session-export doctor` examines, to find out what proxies do to them.

Streams are sent like an export (chunked, with buffering turned off) and are broken off like one (by raising). The
session is sent like a download. None of them contains user data, and none is audited.
"""

import asyncio
import time
from http import HTTPStatus

from aiohttp import HttpVersion11, hdrs, web
from pydantic import Field

from service import __version__
from service.auth import AUTHENTICATION
from service.http.conditions import Validators, content_range, precondition_response, requested_range
from service.http.query import Query
from service.http.requests import ACTOR, REQUEST_ID, REQUEST_ID_HEADER, client_of

FORWARDED = (hdrs.X_FORWARDED_FOR, hdrs.FORWARDED)  # in which proxies name the client
LINE = b"This is no session data. session-export doctor looks at how it arrives.\n"
SESSION = b"".join(
    b'{"line": %d, "text": "no session data, only something to ask ranges of"}\n' % n for n in range(500)
)
BLOCK = 64 * 1024  # bytes
FLOOD = 384  # blocks, 24 MiB: more than the kernels on the way buffer for a client that does not read


class BrokenOnPurpose(Exception):
    """Raised after the first bytes, as by an export whose source fails."""


class PauseQuery(Query):
    """How many seconds the stream pauses after its first piece."""

    seconds: float = Field(2, ge=0, le=600)


async def echo(request: web.Request) -> web.Response:
    """How this request arrived: HTTP version, addresses, identity headers, and request id."""
    peer = None if request.transport is None else request.transport.get_extra_info("peername")
    return web.json_response(
        {
            "version": __version__,
            "http_version": f"{request.version.major}.{request.version.minor}",
            "user_id": request[ACTOR].user_id,
            "peer": peer[0] if peer else None,
            "client_ip": client_of(request).ip,
            "forwarded": [value for name in FORWARDED for value in request.headers.getall(name, [])],
            "identity": {
                name: request.headers.getall(name, []) for name in request.app[AUTHENTICATION].identity_headers
            },
            "request_id": request[REQUEST_ID],
            "request_id_received": request.headers.get(REQUEST_ID_HEADER),
        }
    )


async def broken(request: web.Request) -> web.StreamResponse:
    """A stream that breaks off. A client that takes it for complete would take a broken archive for complete."""
    response = _like_an_archive(request)
    await response.prepare(request)
    await response.write(LINE * 100)
    raise BrokenOnPurpose


async def paused(request: web.Request) -> web.StreamResponse:
    """A piece, a pause, and another piece."""
    pause = PauseQuery.of(request)
    response = _like_an_archive(request)
    await response.prepare(request)
    await response.write(LINE)  # too little to fill a buffer
    await asyncio.sleep(pause.seconds)
    await response.write(LINE)
    await response.write_eof()
    return response


async def flood(request: web.Request) -> web.StreamResponse:
    """Sent as fast as possible. Each block is a line with the milliseconds since the first one: they tell a client that
    did not read at first how much a proxy read in the meantime."""
    response = _like_an_archive(request)
    await response.prepare(request)
    if request.transport is not None:
        request.transport.set_write_buffer_limits(high=0)
    began = time.monotonic()
    for _ in range(FLOOD):
        stamp = f"{(time.monotonic() - began) * 1000:.0f}"
        await response.write(stamp.encode().ljust(BLOCK - 1) + b"\n")
        await request.writer.drain()
    await response.write_eof()
    return response


async def session(request: web.Request) -> web.Response:
    """A few lines of JSON, whole or a range of them, with the conditions of a download."""
    validators = Validators.of(len(SESSION), 0, b"")
    if not_modified := precondition_response(request, validators):
        return not_modified
    headers = validators.headers | {hdrs.CONTENT_TYPE: "application/x-ndjson", hdrs.ACCEPT_RANGES: "bytes"}
    part = requested_range(request, validators, len(SESSION))
    if part is None:
        return web.Response(body=SESSION, headers=headers)
    headers[hdrs.CONTENT_RANGE] = content_range(part, len(SESSION))
    return web.Response(status=HTTPStatus.PARTIAL_CONTENT, body=SESSION[part.start : part.stop], headers=headers)


def _like_an_archive(request: web.Request) -> web.StreamResponse:
    """Sent over HTTP/1.0 too, where an export is rejected, so that the doctor can show the harm."""
    response = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: "application/zip",
            hdrs.CACHE_CONTROL: "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    if request.version >= HttpVersion11:
        response.enable_chunked_encoding()
    return response
