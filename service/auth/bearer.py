"""Bearer tokens (RFC 6750): the header, and the verifiers of the token in it."""

from collections.abc import Sequence
from typing import Protocol

from aiohttp import hdrs, web

from service.auth.method import Unauthenticated
from service.http.requests import Actor


class TokenVerifier(Protocol):
    """Verifies one kind of bearer token."""

    async def verify(self, token: str) -> Actor | None:
        """The caller; None if the token is not of this kind. Raises Refused if it is, but is not valid."""


class Bearer:
    """The method for requests with a bearer token. An unknown token is rejected, whatever else the request has."""

    def __init__(self, verifiers: Sequence[TokenVerifier]) -> None:
        self._verifiers = verifiers

    async def authenticate(self, request: web.Request) -> Actor | None:
        token = bearer_token(request)
        if token is None:
            return None
        for verifier in self._verifiers:
            if actor := await verifier.verify(token):
                return actor
        raise Unauthenticated("unknown token")


def bearer_token(request: web.Request) -> str | None:
    """The token; None without one. Raises Unauthenticated for two headers, as it is unclear which one counts."""
    given = request.headers.getall(hdrs.AUTHORIZATION, [])
    if len(given) > 1:
        raise Unauthenticated("two Authorization headers")
    scheme, _, token = given[0].partition(" ") if given else ("", "", "")
    return token.strip() or None if scheme.lower() == "bearer" else None
