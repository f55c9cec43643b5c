"""What all authentication methods have in common: the protocol, and the refusals."""

from http import HTTPStatus
from typing import Protocol

from aiohttp import hdrs, web

from service.http.problems import Problem
from service.http.requests import Actor

MAX_ID = 256  # characters of a user's id


class Refused(Problem):
    """The caller is not let in. `reason` is for the log only, and never contains credentials."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        if status == HTTPStatus.UNAUTHORIZED:
            super().__init__(status, "A valid bearer token is needed.", headers={hdrs.WWW_AUTHENTICATE: "Bearer"})
        else:
            super().__init__(status, "This needs an admin.")
        self.reason = reason


class Unauthenticated(Refused):
    """The caller is not known: 401."""

    def __init__(self, reason: str) -> None:
        super().__init__(HTTPStatus.UNAUTHORIZED, reason)


class AuthenticationMethod(Protocol):
    """One method to authenticate a request."""

    async def authenticate(self, request: web.Request) -> Actor | None:
        """The caller; None if the request has no credentials for this method. Raises Refused for invalid ones."""


def valid_user_id(user_id: object) -> str:
    """A user id from outside, if it is fit to be stored and logged. Raises Unauthenticated."""
    if not isinstance(user_id, str) or not 0 < len(user_id) <= MAX_ID or not user_id.isprintable():
        raise Unauthenticated(f"the user id is not 1 to {MAX_ID} printable characters")
    return user_id
