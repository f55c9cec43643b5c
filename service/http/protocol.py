"""The HTTP/1.1 connections: their limits, and answers to what is not HTTP. aiohttp answers those itself, in plain text
and before the application sees a request; here they get the same shape as every other error.

Nobody holds a connection for nothing: one that waits for a request, or for a client who does not read the answer, is
closed after `idle_timeout`, and before that where its place is needed.
"""

import asyncio
import logging
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import ERROR, RequestHandler
from multidict import CIMultiDict, CIMultiDictProxy

from service.http.problems import Problem, problem_response
from service.http.requests import HEADER, OBSERVER, STREAM, Observer, mark

log = logging.getLogger(__name__)

MAX_LINE = 16 * 1024  # bytes of a request line
MAX_FIELD = 8 * 1024  # bytes of a header
MAX_HEADERS = 100
MAX_HEAD = 64 * 1024  # bytes of all that together
SILENCE = 60  # seconds between two log lines that say that there are too many connections


class Connection(RequestHandler):
    """One client's connection."""

    __slots__ = ("_head", "_unread")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head = 0  # bytes that came since the last whole request
        self._unread: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether it waits for the client alone: for a request, or to read an answer that is no transfer."""
        if self._force_close:
            return False
        waits_for_request = self._waiter is not None and not self._waiter.done()
        new = self._request_count == 0
        streams = self._current_request is not None and STREAM in self._current_request
        return new or waits_for_request or (self.writing_paused and not streams)

    @property
    def idle_until(self) -> float:
        """When an idle one is closed, by the loop's clock."""
        return self._next_keepalive_close_time

    def force_close(self) -> None:
        """Now: aiohttp waits for what was written to be read, and forgets the connection meanwhile."""
        transport = self.transport
        super().force_close()
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bound what a head that never ends may take of memory; aiohttp bounds its lines and their number."""
        requests = self._request_count
        super().data_received(data)
        if self._request_count > requests:
            self._head = 0
        elif self._waiter is not None:  # what comes while a request is answered waits its turn there
            self._head += len(data)
            if self._head > MAX_HEAD:
                log.warning("unusable request from %s: its head is too long", _address(self.transport))
                self.force_close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self._loop.call_later(self.keepalive_timeout, self._close_if_unread)

    def resume_writing(self) -> None:
        self._forget_unread()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._forget_unread()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what no handler answered; see aiohttp's own. To raise is what breaks off a body that has begun."""
        if request.writer.output_size > 0 or isinstance(exc, ConnectionError):
            raise ConnectionError("broken off") from exc
        problem = Problem(HTTPStatus(status), "The request is not valid HTTP/1.1, or a part of it is too long.")
        response = problem_response(None, problem)
        mark(request, response)
        # Only what kind of error it is: the text may quote a header, and with it a token.
        log.warning(
            "unusable request from %s: %s",
            request.remote,
            type(exc).__name__,
            extra={"request_id": response.headers[HEADER]},
        )
        if isinstance(self._manager, Server):
            self._manager.count_unusable(status)
        response.force_close()
        return response

    def _close_if_unread(self) -> None:
        """Transfers have a watch of their own (`exports.stall_timeout`), which lets a slow client go on."""
        if self.idle and self.transport is not None:
            log.warning("client %s does not read its answers and is cut off", _address(self.transport))
            self.transport.abort()

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


class Server(web.Server):
    """aiohttp's server, with our connections, at most `max_connections` at once."""

    def __init__(self, *arguments: Any, max_connections: int, observer: Observer | None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._max_connections = max_connections
        self._observer = observer
        self._closed = 0  # for want of room
        self._said = -float(SILENCE)
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

    def _make_room(self, newcomer: RequestHandler) -> None:
        """Close the connection that has been idle longest, or the newcomer where all are at work."""
        others = [one for one in self._connections if isinstance(one, Connection) and one is not newcomer]
        idle = [one for one in others if one.idle]
        victim = min(idle, key=lambda one: one.idle_until, default=newcomer)
        if self._loop.time() - self._said >= SILENCE:
            self._said = self._loop.time()
            log.warning(
                "more than server.max_connections (%d) at once, the last from %s: closing %s",
                self._max_connections,
                _address(newcomer.transport),
                "it, as all others are at work" if victim is newcomer else "those that have been idle longest",
            )
        self._closed += 1
        victim.force_close()

    def count_unusable(self, status: int) -> None:
        """A request that the application has not seen was answered."""
        if self._observer:
            self._observer.request("none", status, 0)


class Runner(web.AppRunner):
    """aiohttp's runner, with our server. A handler is cancelled when its client leaves."""

    def __init__(
        self,
        app: web.Application,
        *,
        shutdown_timeout: float = 1,
        handler_cancellation: bool = True,
        max_connections: int = 1000,
        idle_timeout: float = 75,
    ) -> None:
        """`shutdown_timeout`: seconds that a request which is no transfer gets to end."""
        super().__init__(
            app,
            shutdown_timeout=shutdown_timeout,
            access_log=None,  # access.py
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            max_headers=MAX_HEADERS,
            keepalive_timeout=idle_timeout,
        )
        self._handler_cancellation = handler_cancellation
        self._max_connections = max_connections

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return Server(
            made.request_handler,
            request_factory=lambda message, *rest: made.request_factory(_as_we_see_it(message), *rest),
            handler_cancellation=self._handler_cancellation,
            max_connections=self._max_connections,
            observer=self.app[OBSERVER],
            **made._kwargs,
        )


def _as_we_see_it(message: RawRequestMessage) -> RawRequestMessage:
    """What aiohttp decides before the application is asked, undone.

    An Expect header is ignored, as RFC 9110 section 10.1.1 allows: it would be answered before it is known who asks,
    and no request here has a body to wait for. What the parser refused, and what calls itself HTTP/2.0, is answered in
    the version that is spoken here.
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
    return str(peer[0]) if peer else "somebody who left"
