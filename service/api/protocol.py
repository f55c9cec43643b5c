"""The HTTP/1.1 connection: limits, and answers to what is not HTTP. aiohttp answers those itself, in plain text and
before the application sees a request; here they get the same shape as every other error."""

import logging
from http import HTTPStatus

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from service.api.errors import Problem, problem_of, problem_response
from service.api.requests import mark

log = logging.getLogger(__name__)

MAX_LINE = 16 * 1024  # bytes of a request line
MAX_FIELD = 8 * 1024  # bytes of a header


class Connection(RequestHandler):
    """One client's connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what no handler answered; see aiohttp's own. To raise is what breaks off a body that has begun."""
        if request.writer.output_size > 0:
            raise ConnectionError("broken off") from exc
        # Only what kind of error it is: the text may quote a header, and with it a token.
        log.warning("unusable request from %s: %s", request.remote, type(exc).__name__)
        problem = Problem(HTTPStatus(status), "The request is not valid HTTP/1.1, or a part of it is too long.")
        response = problem_response(None, problem)
        mark(request, response)
        response.force_close()
        return response


class Server(web.Server):
    """aiohttp's server, with our connections."""

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner, with our server. A handler is cancelled when its client leaves."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float = 1, handler_cancellation: bool = True) -> None:
        """`shutdown_timeout`: seconds that a request which is no transfer gets to end."""
        super().__init__(
            app,
            shutdown_timeout=shutdown_timeout,
            access_log=None,  # access.py
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
        )
        self._handler_cancellation = handler_cancellation

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()

        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            """aiohttp refuses some requests before any middleware sees them (an unknown Expect)."""
            try:
                return await made.request_handler(request)
            except web.HTTPException as error:
                log.warning("unusable request from %s: %s", request.remote, type(error).__name__)
                return problem_response(request.rel_url.raw_path, problem_of(request, error))

        return Server(
            handler,
            request_factory=made.request_factory,
            handler_cancellation=self._handler_cancellation,
            **made._kwargs,
        )
