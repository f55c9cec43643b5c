"""JSON bodies of requests, of a bounded size and parsed strictly."""

import asyncio
from http import HTTPStatus
from typing import Annotated, Self, TypeAlias

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from service.http.problems import Problem, invalid_request

MAX_BODY = 16 * 1024  # bytes; the application's `client_max_size`, beyond which aiohttp raises a 413
READ_TIMEOUT = 10  # seconds to send all of it


def _integral(value: object) -> object:
    """JSON has one kind of number: `60.0` is the integer 60."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer: TypeAlias = Annotated[int, BeforeValidator(_integral)]


class Body(BaseModel):
    """Base class of the bodies. Unknown members are rejected, and values of another type are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @classmethod
    async def of(cls, request: web.Request) -> Self:
        """Read and parse the request's body. Raises a Problem: 408, 415 or 422; or aiohttp's exception for a 413.

        A browser sends `application/json` across origins only if the target allows it. So no page of another site can
        make requests in the name of a user whom a proxy authenticates by a cookie.
        """
        if request.content_type != "application/json":
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be application/json.")
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                text = await request.read()
        except TimeoutError:
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time.") from None
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise invalid_request(error, "body") from None
