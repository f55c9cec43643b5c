"""Bearer tokens (RFC 6750): the header, and who knows the token in it."""

from collections.abc import Sequence
from typing import Protocol

from aiohttp import hdrs, web

from service.auth.method import Unknown
from service.http.requests import Actor


class Kind(Protocol):
    """One kind of bearer token."""

    async def actor(self, token: str) -> Actor | None:
        """Whom the token stands for; None where it is none of this kind. Raises Refused."""


class Bearer:
    """Where a bearer token is sent it decides: one that nobody knows is refused, whatever else the request says."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = kinds

    async def actor(self, request: web.Request) -> Actor | None:
        token = bearer(request)
        if token is None:
            return None
        for kind in self._kinds:
            if actor := await kind.actor(token):
                return actor
        raise Unknown("unknown token")


def bearer(request: web.Request) -> str | None:
    """The token; None without one. Raises Unknown when there are two headers, as nobody knows which one counts."""
    given = request.headers.getall(hdrs.AUTHORIZATION, [])
    if len(given) > 1:
        raise Unknown("two Authorization headers")
    scheme, _, token = given[0].partition(" ") if given else ("", "", "")
    return token.strip() or None if scheme.lower() == "bearer" else None
