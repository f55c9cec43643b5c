"""POST /api/admin/links makes a link; GET /api/links/{token} rejects links that are not valid, see `http.links`."""

import uuid
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import Field, StringConstraints

from service.api.parts import AUDIT, SETTINGS
from service.catalog.actions import LINK_MADE
from service.http.body import Body, Integer
from service.http.links import LINKS, PREFIX, Link, NoSuchLink
from service.http.problems import invalid_member
from service.http.requests import ACTOR, client_of
from service.transfers.events import event_of
from service.transfers.record import Entry

# The path of a download or an export with its query, in visible ASCII as in a request line.
TARGET = (
    r'^/api/admin/(sessions/download-all|users/[!"$-.0->@-~]+/sessions/(download-all|[A-Za-z0-9._-]+\.jsonl/download))'
    r'(\?[!"$-~]*)?$'
)
MAX_TOKEN = 7 * 1024  # characters: nginx takes request lines of 8 KiB


class LinkBody(Body):
    """The path to link to, and for how many seconds the link is valid."""

    path: Annotated[str, StringConstraints(pattern=TARGET)]
    expires_in: Integer = Field(900, ge=1)


async def make_link(request: web.Request) -> web.Response:
    """Make a link to a download or an export. Its row is in the audit log before the link is returned."""
    body = await LinkBody.of(request)
    longest = request.app[SETTINGS].links.longest
    if body.expires_in > longest:
        message = f"Input should be less than or equal to {longest}, which is links.longest"
        raise invalid_member("expires_in", message, "less_than_equal")
    links = request.app[LINKS]
    link = Link(uuid.uuid4().hex, body.path, request[ACTOR].user_id, links.now() + body.expires_in)
    token = links.token(link)
    if len(token) > MAX_TOKEN:
        raise invalid_member("path", "Input should be shorter: proxies reject such a long link", "too_long")
    expires_at = datetime.fromtimestamp(link.expires_at, UTC).isoformat()
    params = {"link": link.id, "path": link.path, "expires_at": expires_at}
    await request.app[AUDIT].write(event_of(request, LINK_MADE, Entry(f"links/{link.id}", params)))
    made = {"url": f"{_origin(request)}{PREFIX}{token}", "expires_at": expires_at, "id": link.id}
    return web.json_response(made, status=HTTPStatus.CREATED)


async def reject_link(_request: web.Request) -> web.Response:
    """Only requests with an invalid token get here: a valid one is turned into a request for its path."""
    raise NoSuchLink


def _origin(request: web.Request) -> str:
    """Scheme and authority by which the client reached the service, as far as its proxies forward them."""
    return f"{client_of(request).scheme or request.scheme}://{request.host}"
