"""The middleware that answers 401 and 403.

Who calls and whether they may is decided before anything else is looked at, so that nobody without the right learns
which users or files exist.
"""

import logging
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from service.auth.authentication import AUTHENTICATION
from service.auth.method import Refused, Unknown
from service.catalog import Users
from service.http.requests import ACTOR, Actor, client_of

log = logging.getLogger(__name__)

USERS = web.AppKey("users", Users)

GUARDED = "/api/admin"


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let admins through, below `/api/admin`."""
    if _needs_admin(request):
        try:
            request[ACTOR] = await _admin(request)
        except Refused as refused:
            _note(request, refused)
            raise
    return await handler(request)


async def _admin(request: web.Request) -> Actor:
    """The caller, who is an admin. Raises Refused, and CatalogError when it cannot be known whether they are active."""
    actor = await request.app[AUTHENTICATION].actor(request)
    user = await request.app[USERS].find(actor.user_id)
    if user is not None and not user.active:
        raise Unknown(f"user {actor.user_id!r} is not active")
    if not actor.admin:
        raise Refused(HTTPStatus.FORBIDDEN, f"user {actor.user_id!r} is no admin")
    return actor


def _note(request: web.Request, refused: Refused) -> None:
    """Every refusal is an event, and this is the one place that sees each of them. Of the path only the route's pattern
    is said here; the line of the request has the rest, under the same id."""
    resource = request.match_info.route.resource
    log.warning(
        "refused %d from %s: %s (%s %s)",
        refused.status,
        client_of(request).ip,
        refused.reason,
        request.method,
        "no route" if resource is None else resource.canonical,
    )


def _needs_admin(request: web.Request) -> bool:
    """By the route that will run, and by the path where there is none: an unknown path must not differ either."""
    resource = request.match_info.route.resource
    path = request.path if resource is None else resource.canonical
    return path == GUARDED or path.startswith(f"{GUARDED}/")
