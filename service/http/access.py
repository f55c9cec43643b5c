"""Each request is accounted for once: a line in the log, and what the metrics count.

The last word on a request is said here, also when its client left or the connection was broken off. Health that is
asked for and good is no event: its line is written at the level `debug`.
"""

import logging
import time
from collections.abc import Container
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from service.http.requests import ACTOR, ANSWERED, REQUEST_ID, STREAM, Observer, Stream, client_of, route_pattern

log = logging.getLogger(__name__)

CLIENT_LEFT = 499  # before there was an answer; nginx's number for it


def accounting(observer: Observer | None, quiet_routes: Container[str]) -> Middleware:
    """The middleware that does so; it must be the outermost. Good answers of `quiet_routes` are logged at `debug`."""

    @web.middleware
    async def accounted(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.monotonic()
        response = None
        try:
            response = await handler(request)
            return response
        finally:
            seconds = time.monotonic() - began
            # A stream is never a plain response, and to look for one in vain costs more than all the rest here. It is
            # taken out since it knows the request: so neither waits for the garbage collector.
            stream = None if isinstance(response, web.Response) else request.pop(STREAM, None)
            if stream and not stream.outcome:
                stream = None  # refused before it began
            route, status = route_pattern(request), _status(request, response)
            level = logging.DEBUG if status == HTTPStatus.OK and route in quiet_routes else logging.INFO
            if log.isEnabledFor(level):
                _tell(level, _whose(request) | _answer(request, response, stream, seconds))
            if observer:
                observer.request(route, status, seconds)
                if stream:
                    _observe(observer, stream, began, seconds)

    return accounted


def _whose(request: web.Request) -> dict[str, Any]:
    """The path is logged as it was sent, still encoded; of its query nothing, as that may hold anything."""
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


def _answer(
    request: web.Request, response: web.StreamResponse | None, stream: Stream | None, seconds: float
) -> dict[str, Any]:
    return {
        "status": _status(request, response),
        "bytes": stream.bytes_sent if stream else _length(request, response),
        "duration_ms": round(seconds * 1000, 1),
        "outcome": stream.outcome if stream else None,
    }


def _tell(level: int, fields: dict[str, Any]) -> None:
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
    """What the client has seen, where it has seen anything."""
    return request.get(ANSWERED, CLIENT_LEFT) if response is None else response.status


def _length(request: web.Request, response: web.StreamResponse | None) -> int:
    """Bytes of a body; of a stream that is no transfer all that was written, its head too."""
    if request.method == hdrs.METH_HEAD:
        return 0
    if not isinstance(response, web.Response):
        return request.writer.output_size
    return len(response.body) if isinstance(response.body, bytes | bytearray) else 0
