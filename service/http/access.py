"""The access log: one line for each request, and its metrics, once the response has ended.

That includes requests whose client disconnected, or whose connection the service broke off.
"""

import logging
import time
from collections.abc import Container
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from service.http.requests import ACTOR, REQUEST_ID, SENT_STATUS, STREAM, Observer, Stream, client_of, route_pattern

log = logging.getLogger(__name__)

CLIENT_DISCONNECTED = 499  # before there was a response; nginx uses this number too


def access_log(observer: Observer | None, quiet_routes: Container[str]) -> Middleware:
    """The middleware that writes the log; it must be the outermost. A 200 of `quiet_routes` is logged at `debug`."""

    @web.middleware
    async def logged(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.monotonic()
        response = None
        try:
            response = await handler(request)
            return response
        finally:
            seconds = time.monotonic() - began
            # A transfer is never a plain Response: skip the lookup, which costs more than the rest of this function.
            # Removing the stream breaks the reference cycle with the request, so both are freed at once.
            stream = None if isinstance(response, web.Response) else request.pop(STREAM, None)
            if stream and not stream.outcome:
                stream = None  # the request was refused before the transfer began
            route, status = route_pattern(request), _status(request, response)
            level = logging.DEBUG if status == HTTPStatus.OK and route in quiet_routes else logging.INFO
            if log.isEnabledFor(level):
                _log_request(level, _request_fields(request) | _response_fields(request, response, stream, seconds))
            if observer:
                observer.request(route, status, seconds)
                if stream:
                    _observe(observer, stream, began, seconds)

    return logged


def _request_fields(request: web.Request) -> dict[str, Any]:
    """The path is logged as it was sent, still encoded; the query is not logged, as it may hold anything."""
    actor = request.get(ACTOR)
    client = client_of(request)
    return {
        "request_id": request[REQUEST_ID],
        "client": client.ip,
        "scheme": client.scheme,
        "actor": actor.user_id if actor else None,
        "token": actor.name if actor else None,
        "method": request.method,
        "path": request.rel_url.raw_path,
        "route": route_pattern(request),
    }


def _response_fields(
    request: web.Request, response: web.StreamResponse | None, stream: Stream | None, seconds: float
) -> dict[str, Any]:
    return {
        "status": _status(request, response),
        "bytes": stream.bytes_sent if stream else _length(request, response),
        "duration_ms": round(seconds * 1000, 1),
        "outcome": stream.outcome if stream else None,
    }


def _log_request(level: int, fields: dict[str, Any]) -> None:
    log.log(
        level,
        "%s %s %s %s %d %dB %.1fms%s%s",
        fields["client"],
        "-" if fields["actor"] is None else f"{fields['actor']!r} ({fields['token']})",
        fields["method"],
        fields["path"],
        fields["status"],
        fields["bytes"],
        fields["duration_ms"],
        f" {fields['outcome']}" if fields["outcome"] else "",
        " (over plain HTTP)" if fields["scheme"] == "http" else "",
        extra={"request_id": fields["request_id"], "fields": fields},
    )


def _observe(observer: Observer, stream: Stream, began: float, seconds: float) -> None:
    first_byte = None if stream.first_byte_at is None else stream.first_byte_at - began
    observer.transfer(stream.kind, stream.outcome or "", seconds, first_byte, stream.bytes_sent)


def _status(request: web.Request, response: web.StreamResponse | None) -> int:
    """The status that was sent to the client, if any was."""
    return request.get(SENT_STATUS, CLIENT_DISCONNECTED) if response is None else response.status


def _length(request: web.Request, response: web.StreamResponse | None) -> int:
    """Bytes of the body; for a stream that is no transfer all bytes written, with its headers."""
    if request.method == hdrs.METH_HEAD:
        return 0
    if not isinstance(response, web.Response):
        return request.writer.output_size
    return len(response.body) if isinstance(response.body, bytes | bytearray) else 0
