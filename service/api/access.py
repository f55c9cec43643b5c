"""Each request is accounted for once: a line in the log, and what the metrics count.

The last word on a request is said here, also when its client left or the connection was broken off. Health that is
asked for and good is no event: its line is written at the level `debug`.
"""

import logging
import time
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from service.api.requests import ACTOR, REQUEST_ID, client_of
from service.api.transfer import TRANSFER, Transfer
from service.metrics import Metrics

log = logging.getLogger(__name__)

HEALTH = ("/healthz", "/readyz")
CLIENT_LEFT = 499  # before there was an answer; nginx's number for it


def accounting(metrics: Metrics | None) -> Middleware:
    """The middleware that does so; it belongs outside of all that may answer."""

    @web.middleware
    async def accounted(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.monotonic()
        response = None
        try:
            response = await handler(request)
            return response
        finally:
            seconds = time.monotonic() - began
            route, status = _route(request), _status(request, response)
            level = logging.DEBUG if route in HEALTH and status == HTTPStatus.OK else logging.INFO
            if log.isEnabledFor(level):
                _tell(level, _fields(request, response, route, status, seconds))
            if metrics:
                metrics.request(route, status, seconds)
                if transfer := _transfer(request):
                    _count(metrics, transfer, began, seconds)
            request.pop(TRANSFER, None)  # which knows the request: neither waits for the garbage collector

    return accounted


def _fields(
    request: web.Request, response: web.StreamResponse | None, route: str, status: int, seconds: float
) -> dict[str, Any]:
    """The path is logged as it was sent, still encoded; of its query nothing, as that may hold anything."""
    actor, transfer = request.get(ACTOR), _transfer(request)
    return {
        "request_id": request[REQUEST_ID],
        "client": client_of(request).ip,
        "actor": actor.user_id if actor else None,
        "token": actor.name if actor else None,
        "method": request.method,
        "path": request.rel_url.raw_path,
        "route": route,
        "status": status,
        "bytes": transfer.bytes_sent if transfer else _length(request, response),
        "duration_ms": round(seconds * 1000, 1),
        "outcome": transfer.outcome if transfer else None,
    }


def _tell(level: int, fields: dict[str, Any]) -> None:
    log.log(
        level,
        "%s %s %s %s %d %dB %.1fms%s",
        fields["client"],
        "-" if fields["actor"] is None else f"{fields['actor']!r} ({fields['token']})",
        fields["method"],
        fields["path"],
        fields["status"],
        fields["bytes"],
        fields["duration_ms"],
        f" {fields['outcome']}" if fields["outcome"] else "",
        extra={"request_id": fields["request_id"], "fields": fields},
    )


def _count(metrics: Metrics, transfer: Transfer, began: float, seconds: float) -> None:
    first_byte = None if transfer.first_byte_at is None else transfer.first_byte_at - began
    outcome = transfer.outcome or ""
    metrics.transfer(transfer.record.action, outcome, seconds, first_byte, transfer.bytes_sent)


def _route(request: web.Request) -> str:
    """The route's pattern: bounded, whatever is asked for."""
    resource = request.match_info.route.resource
    return "none" if resource is None else resource.canonical


def _status(request: web.Request, response: web.StreamResponse | None) -> int:
    """What the client has seen, where it has seen anything."""
    if response is not None:
        return response.status
    transfer = _transfer(request)
    return transfer.response.status if transfer and transfer.response.prepared else CLIENT_LEFT


def _transfer(request: web.Request) -> Transfer | None:
    """The one that answered it, unless it was refused before it began."""
    transfer = request.get(TRANSFER)
    return transfer if transfer and transfer.outcome else None


def _length(request: web.Request, response: web.StreamResponse | None) -> int:
    body = response.body if isinstance(response, web.Response) and request.method != hdrs.METH_HEAD else None
    return len(body) if isinstance(body, bytes | bytearray) else 0
