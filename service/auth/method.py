"""What all ways of saying who one is have in common: how they are asked, and how they refuse."""

from http import HTTPStatus
from typing import Protocol

from aiohttp import hdrs, web

from service.http.problems import Problem
from service.http.requests import Actor

MAX_ID = 256  # characters of a user's id


class Refused(Problem):
    """The caller may not. `reason` is for the log alone, and never holds what was sent as a proof."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        if status == HTTPStatus.UNAUTHORIZED:
            super().__init__(status, "A valid bearer token is needed.", headers={hdrs.WWW_AUTHENTICATE: "Bearer"})
        else:
            super().__init__(status, "This needs an admin.")
        self.reason = reason


class Unknown(Refused):
    """Nobody knows who calls: 401."""

    def __init__(self, reason: str) -> None:
        super().__init__(HTTPStatus.UNAUTHORIZED, reason)


class Way(Protocol):
    """One way to say who one is."""

    async def actor(self, request: web.Request) -> Actor | None:
        """Who calls; None where the request says nothing in this way. Raises Refused where what it says is wrong."""


def checked_id(user_id: object) -> str:
    """A user's id as others sent it, fit to be stored and logged. Raises Unknown."""
    if not isinstance(user_id, str) or not 0 < len(user_id) <= MAX_ID or not user_id.isprintable():
        raise Unknown(f"the user's id is not 1 to {MAX_ID} printable characters")
    return user_id
