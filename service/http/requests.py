"""Data attached to a request: its id, its authenticated actor, its client, and the transfer that responds to it."""

import re
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from yarl import URL

# The id of the current request, for log records. aiohttp handles each request in a task, and so a context, of its own.
CURRENT_REQUEST_ID = ContextVar[str]("request_id")

REQUEST_ID = web.RequestKey("request_id", str)
SENT_STATUS = web.RequestKey("sent_status", int)  # once the response headers were prepared
REQUEST_ID_HEADER = "X-Request-ID"
VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
PRODUCT = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")  # a token of RFC 9110 section 5.6.2, bounded


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated caller: their user id, the name of their token or else of the authentication method, whether
    they are an admin, and the method: `token`, `jwt`, `proxy` or `link`."""

    user_id: str
    name: str
    admin: bool
    via: str


ACTOR = web.RequestKey("actor", Actor)


@dataclass(frozen=True, slots=True)
class Client:
    """The origin of a request: the client's IP address, the first product of its User-Agent, the scheme between the
    client and the first proxy (None if unknown), and whether a trusted proxy forwarded the request."""

    ip: str | None
    kind: str | None
    scheme: str | None = None
    proxied: bool = False


CLIENT = web.RequestKey("client", Client)


SENT_URL = web.RequestKey("sent_url", URL)  # of a link; only in requests that came through one


class Stream(Protocol):
    """A transfer, as the access log and the metrics see it."""

    kind: str
    bytes_sent: int
    first_byte_at: float | None  # of `time.monotonic`

    @property
    def outcome(self) -> str | None:
        """None until it is known."""


STREAM = web.RequestKey[Stream]("stream")


class Observer(Protocol):
    """The metrics, as this room sees them."""

    def request(self, route: str, status: int, seconds: float) -> None:
        """A response ended. `route` is the route's pattern."""

    def transfer(self, kind: str, outcome: str, seconds: float, first_byte: float | None, bytes_sent: int) -> None:
        """A stream of this kind ended; `first_byte` is the seconds until that was sent, where one was."""

    def gauge(self, name: str, about: str, read: Callable[[], float], **labels: str) -> None:
        """A value that goes up and down, read when Prometheus scrapes."""

    def counter(self, name: str, about: str, read: Callable[[], float], **labels: str) -> None:
        """A value that only grows, read when Prometheus scrapes."""


OBSERVER = web.AppKey[Observer | None]("observer")


def route_pattern(request: web.BaseRequest) -> str:
    """The pattern of the route that handles the request, such as `/docs/{asset}`; "none" if no route matches."""
    resource = request.match_info.route.resource if isinstance(request, web.Request) else None
    return "none" if resource is None else resource.canonical


def sent_url(request: web.BaseRequest) -> URL:
    """The URL as the client sent it. Through a link it is the link's URL, while `rel_url` is the link's path."""
    url: URL = request.get(SENT_URL, request.rel_url)
    return url


def client_of(request: web.BaseRequest) -> Client:
    """The client; until the middleware `locate_clients` has run, the connection's peer."""
    return request.get(CLIENT) or Client(request.remote, product_of(request))


def product_of(request: web.BaseRequest) -> str | None:
    """The first product of the User-Agent, such as `curl`."""
    product = PRODUCT.match(request.headers.get(hdrs.USER_AGENT, ""))
    return product[0] if product else None


def describe_caller(request: web.BaseRequest) -> str:
    """The caller and their address, for a log line."""
    actor = request.get(ACTOR)
    caller = f"{actor.user_id!r} ({actor.name})" if actor else "somebody"
    return f"{caller} from {client_of(request).ip}"


@web.middleware
async def assign_request_id(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The middleware that gives a request its id: the caller's own if it is valid, else a new one."""
    request[REQUEST_ID] = request_id_of(request)
    CURRENT_REQUEST_ID.set(request[REQUEST_ID])
    return await handler(request)


def request_id_of(request: web.BaseRequest) -> str:
    given = request.headers.get(REQUEST_ID_HEADER, "")
    return given if VALID_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def add_common_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Add the headers that every response has."""
    response.headers[REQUEST_ID_HEADER] = request.get(REQUEST_ID) or request_id_of(request)
    response.headers[hdrs.SERVER] = "session-export"
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"


async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
    """For aiohttp's signal `on_response_prepare`."""
    add_common_headers(request, response)
    request[SENT_STATUS] = response.status
