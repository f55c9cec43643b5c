"""The middleware that responds 401 and 403.

It runs before anything of the request is looked up, so that only admins learn which users and files exist.
"""

import logging
from collections.abc import Container
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from service.auth.authentication import AUTHENTICATION
from service.auth.method import Refused, Unauthenticated
from service.catalog import Users
from service.http.links import LINK, Link, NoSuchLink
from service.http.requests import ACTOR, Actor, client_of, route_pattern

log = logging.getLogger(__name__)

USERS = web.AppKey("users", Users)


def guard(open_routes: Container[str], link_routes: Container[str]) -> Middleware:
    """The middleware that lets only admins in. `open_routes` are the patterns of the routes that are open to everybody,
    `link_routes` those that a link can lead to.

    Unknown paths need an admin too, so that callers without a token cannot tell them from existing ones.
    """

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if link := request.get(LINK):
            if route_pattern(request) not in link_routes:
                raise NoSuchLink
            request[ACTOR] = await _find_maker(request, link)
        elif not await _is_open(request, open_routes):
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
    # No route: the path is unknown, or has no such method. An open path is open for a wrong method too, and gives 405.
    resources = [one for one in request.app.router.resources() if one.canonical in open_routes]
    return any([(await resource.resolve(request))[1] for resource in resources])


async def _admin(request: web.Request) -> Actor:
    """The caller, an active admin. Raises Refused, or CatalogError if the catalog does not answer."""
    actor = await request.app[AUTHENTICATION].authenticate(request)
    user = await request.app[USERS].find(actor.user_id)
    if user is not None and not user.active:
        raise Unauthenticated(f"user {actor.user_id!r} is not active")
    if not actor.admin:
        raise Refused(HTTPStatus.FORBIDDEN, f"user {actor.user_id!r} is not an admin")
    return actor


async def _find_maker(request: web.Request, link: Link) -> Actor:
    """The user who made the link; requests through it act in their name. Raises NoSuchLink if that user is inactive
    now, or CatalogError."""
    user = await request.app[USERS].find(link.user_id)
    if user is not None and not user.active:
        raise NoSuchLink
    return Actor(link.user_id, "link", admin=True, via="link")


def _log_refusal(request: web.Request, refused: Refused) -> None:
    """Log the refusal. It has only the route's pattern; the request's line in the access log has the path, under the
    same request id."""
    log.warning(
        "refused %d from %s: %s (%s %s)",
        refused.status,
        client_of(request).ip,
        refused.reason,
        request.method,
        route_pattern(request),
    )
