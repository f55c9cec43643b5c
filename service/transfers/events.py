"""Audit rows about a request: they have its actor, client and request id."""

from aiohttp import web

from service.catalog import Action, Event, Result
from service.http.links import LINK
from service.http.requests import ACTOR, REQUEST_ID, client_of
from service.transfers.record import Entry


def event_of(
    request: web.Request,
    action: Action,
    entry: Entry,
    result: Result = Result.SUCCESS,
    duration_ms: int | None = None,
) -> Event:
    """A row to be written. For a request through a link, its parameters include the link's id."""
    client = client_of(request)
    link = request.get(LINK)
    return Event(
        user_id=request[ACTOR].user_id,
        action=action,
        resource=entry.resource,
        params=entry.params if link is None else entry.params | {"link": link.id},
        result=result,
        correlation_id=request[REQUEST_ID],
        client_ip=client.ip,
        client_kind=client.kind,
        duration_ms=duration_ms,
    )
