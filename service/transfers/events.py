"""Rows of the audit log about a request: the actor, the client and the id are the request's."""

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
    """A row that is yet to be written. What came through a link has the link's id among its parameters."""
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
