"""What a request has: an id, which its response, log lines and audit rows carry; who makes it; where it comes from."""

import re
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

# The id of the request that is being answered, for the log; each request has a task, and with it a context, of its own.
REQUEST = ContextVar[str]("request")

REQUEST_ID = web.RequestKey("request_id", str)
ANSWERED = web.RequestKey("answered", int)  # the status of the response that was prepared
HEADER = "X-Request-ID"
ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
PRODUCT = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")  # a token of RFC 9110 section 5.6.2, bounded


@dataclass(frozen=True, slots=True)
class Actor:
    """A caller who is known: the user they stand for, what their token is called (or which way they are known), and
    whether they are an admin."""

    user_id: str
    name: str
    admin: bool


ACTOR = web.RequestKey("actor", Actor)


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request came from: its address, the product that its User-Agent names first, the scheme by which it
    came to the first proxy, where that is known, and whether a trusted proxy handed it on."""

    ip: str | None
    kind: str | None
    scheme: str | None = None
    proxied: bool = False


CLIENT = web.RequestKey("client", Client)


class Stream(Protocol):
    """A response body that is sent piece by piece and has an outcome of its own."""

    kind: str
    bytes_sent: int
    first_byte_at: float | None  # of `time.monotonic`

    @property
    def outcome(self) -> str | None:
        """None until it is known."""


STREAM = web.RequestKey[Stream]("stream")


class Observer(Protocol):
    """What measures requests and connections."""

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is the route's pattern."""

    def transfer(self, kind: str, outcome: str, seconds: float, first_byte: float | None, bytes_sent: int) -> None:
        """A stream of this kind ended; `first_byte` is the seconds until that was sent, where one was."""

    def gauge(self, name: str, about: str, read: Callable[[], float], **labels: str) -> None:
        """A figure that goes up and down, read when the metrics are fetched."""

    def counter(self, name: str, about: str, read: Callable[[], float], **labels: str) -> None:
        """A figure that only grows, read when the metrics are fetched."""


OBSERVER = web.AppKey[Observer | None]("observer")


def route_pattern(request: web.BaseRequest) -> str:
    """The pattern of the route that handles the request, such as `/docs/{asset}`; "none" if no route matches."""
    resource = request.match_info.route.resource if isinstance(request, web.Request) else None
    return "none" if resource is None else resource.canonical


def client_of(request: web.BaseRequest) -> Client:
    """Before the application has seen the request only the peer is known."""
    return request.get(CLIENT) or Client(request.remote, product_of(request))


def product_of(request: web.BaseRequest) -> str | None:
    product = PRODUCT.match(request.headers.get(hdrs.USER_AGENT, ""))
    return product[0] if product else None


def who(request: web.BaseRequest) -> str:
    """Who asks, for the log."""
    actor = request.get(ACTOR)
    somebody = f"{actor.user_id!r} ({actor.name})" if actor else "somebody"
    return f"{somebody} from {client_of(request).ip}"


@web.middleware
async def request_id(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id: the caller's own where it is a plain one, else a new one. The log's lines get it too."""
    request[REQUEST_ID] = accepted_id(request)
    REQUEST.set(request[REQUEST_ID])
    return await handler(request)


def accepted_id(request: web.BaseRequest) -> str:
    given = request.headers.get(HEADER, "")
    return given if ACCEPTED_ID.fullmatch(given) else uuid.uuid4().hex


def mark(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """The headers that every response has."""
    response.headers[HEADER] = request.get(REQUEST_ID) or accepted_id(request)
    response.headers[hdrs.SERVER] = "session-export"
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"


async def mark_prepared(request: web.Request, response: web.StreamResponse) -> None:
    """For aiohttp's signal `on_response_prepare`."""
    mark(request, response)
    request[ANSWERED] = response.status
