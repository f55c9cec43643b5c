"""HTTP/1.1 connections: their limits, and the error response to bytes that are not valid HTTP. aiohttp answers those in
plain text before the application sees a request; here the response is problem+json like every other error.

An idle connection is closed after `idle_timeout`, or earlier if there are too many connections. It is idle while it
waits for a request, or for a client that does not read a response (transfers have `exports.stall_timeout` instead).
"""

import asyncio
import logging
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import ERROR, RequestHandler
from multidict import CIMultiDict, CIMultiDictProxy

from service.http.links import LINK, LINKS
from service.http.problems import Problem, problem_response
from service.http.requests import OBSERVER, REQUEST_ID_HEADER, SENT_URL, STREAM, Observer, add_common_headers

log = logging.getLogger(__name__)

MAX_LINE = 16 * 1024  # bytes of a request line
MAX_FIELD = 8 * 1024  # bytes of a header
MAX_HEADERS = 100
MAX_HEAD = 64 * 1024  # bytes of all that together
WARNING_INTERVAL = 60  # seconds between two warnings of too many connections


class Connection(RequestHandler):
    """One client's connection."""

    __slots__ = ("_head", "_unread_timer")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head = 0  # bytes received since the last complete request
        self._unread_timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether it waits only for the client: to send a request, or to read a response that is not a transfer."""
        if self._force_close:
            return False
        waits_for_request = self._waiter is not None and not self._waiter.done()
        is_new = self._request_count == 0
        streams = self._current_request is not None and STREAM in self._current_request
        return is_new or waits_for_request or (self.writing_paused and not streams)

    @property
    def idle_until(self) -> float:
        """The time of the event loop at which an idle connection is closed."""
        return self._next_keepalive_close_time

    def force_close(self) -> None:
        """Close at once. aiohttp would stop counting the connection, but wait for the client to read the response."""
        transport = self.transport
        super().force_close()
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Limit the size of a request's head as a whole; aiohttp limits the length and the number of its lines."""
        requests = self._request_count
        super().data_received(data)
        if self._request_count > requests:
            self._head = 0
        elif self._waiter is not None:  # while a request is handled, aiohttp buffers what arrives
            self._head += len(data)
            if self._head > MAX_HEAD:
                log.warning("invalid request from %s: its head is too long", _address(self.transport))
                self.force_close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_timer = self._loop.call_later(self.keepalive_timeout, self._close_if_unread)

    def resume_writing(self) -> None:
        self._stop_unread_timer()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_unread_timer()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The response to an invalid request or an unhandled exception, in place of aiohttp's. Raises if the response
        has begun: aiohttp then closes the connection."""
        if request.writer.output_size > 0 or isinstance(exc, ConnectionError):
            raise ConnectionError("broken off") from exc
        problem = Problem(HTTPStatus(status), "The request is not valid HTTP/1.1, or a part of it is too long.")
        response = problem_response(None, problem)
        add_common_headers(request, response)
        # Log only the kind of error: its text may quote a header, and with it a token.
        log.warning(
            "invalid request from %s: %s",
            request.remote,
            type(exc).__name__,
            extra={"request_id": response.headers[REQUEST_ID_HEADER]},
        )
        if isinstance(self._manager, Server):
            self._manager.count_invalid(status)
        response.force_close()
        return response

    def _close_if_unread(self) -> None:
        """Not for transfers: `exports.stall_timeout` lets a slow client continue."""
        if self.idle and self.transport is not None:
            log.warning("client %s does not read its responses: closing the connection", _address(self.transport))
            self.transport.abort()

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None


class Server(web.Server):
    """aiohttp's server with at most `max_connections` of these connections at once."""

    def __init__(self, *arguments: Any, max_connections: int, observer: Observer | None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._max_connections = max_connections
        self._observer = observer
        self._closed = 0  # because there were too many
        self._warned_at = -float(WARNING_INTERVAL)
        if observer:
            observer.gauge("connections", "Connections that are open.", lambda: len(self._connections))
            observer.counter(
                "connections_closed", "Connections closed because there were too many.", lambda: self._closed
            )

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._connections) > self._max_connections:
            self._make_room(handler)

    def _make_room(self, new: RequestHandler) -> None:
        """Close the connection that has been idle longest, or the new one if none is idle."""
        others = [one for one in self._connections if isinstance(one, Connection) and one is not new]
        idle = [one for one in others if one.idle]
        victim = min(idle, key=lambda one: one.idle_until, default=new)
        if self._loop.time() - self._warned_at >= WARNING_INTERVAL:
            self._warned_at = self._loop.time()
            log.warning(
                "more than server.max_connections (%d) at once, the last from %s: closing %s",
                self._max_connections,
                _address(new.transport),
                "it, as no other is idle" if victim is new else "those that have been idle longest",
            )
        self._closed += 1
        victim.force_close()

    def count_invalid(self, status: int) -> None:
        """Count a response to a request that the application never saw."""
        if self._observer:
            self._observer.request("none", status, 0)


class Runner(web.AppRunner):
    """aiohttp's runner with this server. A handler is cancelled when its client disconnects."""

    def __init__(
        self,
        app: web.Application,
        *,
        shutdown_timeout: float = 1,
        handler_cancellation: bool = True,
        max_connections: int = 1000,
        idle_timeout: float = 75,
    ) -> None:
        """`shutdown_timeout`: seconds that requests other than transfers get to end."""
        super().__init__(
            app,
            shutdown_timeout=shutdown_timeout,
            access_log=None,  # access.py writes it
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            max_headers=MAX_HEADERS,
            keepalive_timeout=idle_timeout,
        )
        self._handler_cancellation = handler_cancellation
        self._max_connections = max_connections

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        links = self.app[LINKS]

        def make_request(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
            followed, link = links.follow(_normalized(message))
            request = made.request_factory(followed, *rest)
            if link is not None:
                request[LINK], request[SENT_URL] = link, message.url
            return request

        return Server(
            made.request_handler,
            request_factory=make_request,
            handler_cancellation=self._handler_cancellation,
            max_connections=self._max_connections,
            observer=self.app[OBSERVER],
            **made._kwargs,
        )


def _normalized(message: RawRequestMessage) -> RawRequestMessage:
    """The message without the parts to which aiohttp would respond before the application runs.

    An Expect header is dropped, as RFC 9110 section 10.1.1 allows: aiohttp would respond to it before the caller is
    authenticated, and a body that is not sent at once is not needed here. A message that the parser rejected, or that
    claims another version such as HTTP/2.0, gets its response in HTTP/1.1.
    """
    if message.version not in (HttpVersion10, HttpVersion11) or message is ERROR:
        message = message._replace(version=HttpVersion11)
    if hdrs.EXPECT not in message.headers:
        return message
    headers = CIMultiDict(message.headers)
    headers.popall(hdrs.EXPECT)
    return message._replace(headers=CIMultiDictProxy(headers))


def _address(transport: asyncio.BaseTransport | None) -> str:
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if peer else "a disconnected client"
