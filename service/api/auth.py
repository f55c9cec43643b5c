"""Who may call: static bearer tokens, and the middleware that lets nobody else below `/api/admin`.

Who calls and whether they may is decided before anything else is looked at, so that nobody without the right learns
which users or files exist.
"""

import hashlib
import hmac
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from service.api.errors import Problem
from service.api.parts import USERS
from service.api.requests import ACTOR, Actor
from service.config import Token

log = logging.getLogger(__name__)

GUARDED = "/api/admin"


class Refused(Problem):
    """The caller may not. `reason` is for the log alone."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        if status == HTTPStatus.UNAUTHORIZED:
            super().__init__(status, "A valid bearer token is needed.", headers={hdrs.WWW_AUTHENTICATE: "Bearer"})
        else:
            super().__init__(status, "This needs an admin.")
        self.reason = reason


class Tokens:
    """The static tokens, known by their digests alone."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = [(bytes.fromhex(token.sha256), token) for token in tokens]

    def actor(self, token: str) -> Actor:
        """Whom the token stands for. Raises Refused."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        found = None
        for known, candidate in self._tokens:  # all of them, so that the time taken tells nothing
            if hmac.compare_digest(known, digest):
                found = candidate
        if found is None:
            raise Refused(HTTPStatus.UNAUTHORIZED, "unknown token")
        if found.expires_at is not None and _aware(found.expires_at) <= datetime.now(UTC):
            raise Refused(HTTPStatus.UNAUTHORIZED, f"token {found.name!r} has expired")
        return Actor(found.user_id, found.name, found.admin)


def guard(tokens: Tokens) -> Middleware:
    """The middleware that answers 401 and 403."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _needs_admin(request):
            return await handler(request)
        try:
            request[ACTOR] = await _admin(request, tokens)
        except Refused as refused:
            log.warning("refused %s from %s: %s", refused.status.value, request.remote, refused.reason)
            raise
        return await handler(request)

    return guarded


async def _admin(request: web.Request, tokens: Tokens) -> Actor:
    actor = tokens.actor(_bearer(request))
    user = await request.app[USERS].find(actor.user_id)
    if user is not None and not user.active:
        raise Refused(HTTPStatus.UNAUTHORIZED, f"user {actor.user_id!r} is not active")
    if not actor.admin:
        raise Refused(HTTPStatus.FORBIDDEN, f"user {actor.user_id!r} is no admin")
    return actor


def _needs_admin(request: web.Request) -> bool:
    """By the route that will run, and by the path where there is none: an unknown path must not differ either."""
    resource = request.match_info.route.resource
    path = request.path if resource is None else resource.canonical
    return path == GUARDED or path.startswith(f"{GUARDED}/")


def _bearer(request: web.Request) -> str:
    given = request.headers.getall(hdrs.AUTHORIZATION, [])
    if not given:
        raise Refused(HTTPStatus.UNAUTHORIZED, "no token")
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise Refused(HTTPStatus.UNAUTHORIZED, "not a bearer token")
    return token.strip()


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
