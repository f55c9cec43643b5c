"""The middleware that answers 401 and 403.

Who calls and whether they may is decided before anything else is looked at, so that nobody without the right learns
which users or files exist.
"""

import logging
from collections.abc import Container
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from service.auth.authentication import AUTHENTICATION
from service.auth.method import Refused, Unknown
from service.catalog import Users
from service.http.requests import ACTOR, Actor, client_of, route_pattern

log = logging.getLogger(__name__)

USERS = web.AppKey("users", Users)


def guard(open_routes: Container[str]) -> Middleware:
    """The middleware that lets only admins through, except to `open_routes`, patterns of routes.

    A path without a route is closed as well, so without a token it does not differ from one that exists.
    """

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not await _is_open(request, open_routes):
            try:
                request[ACTOR] = await _admin(request)
            except Refused as refused:
                _log_refusal(request, refused)
                raise
        return await handler(request)

    return guarded


async def _is_open(request: web.Request, open_routes: Container[str]) -> bool:
    if request.match_info.http_exception is None:
        return route_pattern(request) in open_routes
    # No route: the path is unknown, or does not have the method. The latter is open where the path is, and gets 405.
    resources = [one for one in request.app.router.resources() if one.canonical in open_routes]
    return any([(await resource.resolve(request))[1] for resource in resources])


async def _admin(request: web.Request) -> Actor:
    """The caller, who is an admin. Raises Refused, and CatalogError when it cannot be known whether they are active."""
    actor = await request.app[AUTHENTICATION].actor(request)
    user = await request.app[USERS].find(actor.user_id)
    if user is not None and not user.active:
        raise Unknown(f"user {actor.user_id!r} is not active")
    if not actor.admin:
        raise Refused(HTTPStatus.FORBIDDEN, f"user {actor.user_id!r} is no admin")
    return actor


def _log_refusal(request: web.Request, refused: Refused) -> None:
    """Of the path only the route's pattern is logged here; the request's own line has the rest, under the same id."""
    log.warning(
        "refused %d from %s: %s (%s %s)",
        refused.status,
        client_of(request).ip,
        refused.reason,
        request.method,
        route_pattern(request),
    )
