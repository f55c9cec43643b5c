"""Errors as clients see them: `application/problem+json` (RFC 9457), made in one place.

What a client reads is a sentence written for it. Causes, paths and SQL go to the log, with the request's id.
"""

import json
import logging
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, LooseHeaders, Middleware
from pydantic import ValidationError

log = logging.getLogger(__name__)

UNEXPECTED = "The service failed; its log has the cause under this request id."
SOON = {hdrs.RETRY_AFTER: "5"}  # what does not answer may do so in a moment


class Problem(Exception):
    """An answer that is an error. `detail` is one plain sentence for the client."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, headers: LooseHeaders | None = None, **members: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.members = members


def problem_response(instance: str | None, problem: Problem) -> web.Response:
    """The one shape of an error. `instance` is the path that was asked for, still encoded; None if unknown."""
    body = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
        "instance": instance or "about:blank",
        **problem.members,
    }
    response = web.Response(
        status=problem.status.value,
        body=json.dumps(body).encode(),
        content_type="application/problem+json",
        headers=problem.headers,
    )
    if response.headers.get(hdrs.CONNECTION) == "close":
        response.force_close()
    return response


def problems(translate: Callable[[web.BaseRequest, Exception], Problem | None]) -> Middleware:
    """The middleware that renders what is raised below it. `translate` knows the errors of the rooms below HTTP.

    Once bytes of a response have left, only breaking the connection off is honest. Nor is there anything to answer to
    a client that has disconnected; that is no failure.
    """

    @web.middleware
    async def rendered(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Exception as error:
            if request.writer.output_size > 0 or (isinstance(error, ConnectionError) and _has_left(request)):
                raise
            problem = problem_of(error) or translate(request, error)
            if problem is None:
                log.exception("unexpected error")
                problem = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED)
            return problem_response(request.rel_url.raw_path, problem)

    return rendered


def _has_left(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def problem_of(error: Exception) -> Problem | None:
    """What a client is told of an error that HTTP itself knows; None for any other."""
    match error:
        case Problem():
            return error
        case ValidationError():
            return invalid_query(error)
        case web.HTTPException():
            return _of_http_exception(error)
    return None


def invalid_query(error: ValidationError) -> Problem:
    """422 with what is wrong with each parameter."""
    errors = [
        {"loc": ["query", *mistake["loc"]], "msg": mistake["msg"], "type": mistake["type"]}
        for mistake in error.errors()
    ]
    names = ", ".join(dict.fromkeys(str(mistake["loc"][-1]) for mistake in errors))
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"Not valid: {names}.", errors=errors)


def _of_http_exception(error: web.HTTPException) -> Problem:
    """What aiohttp itself raises: no such path, wrong method, too large a body."""
    headers: dict[str, str] = {}
    details: dict[int, str] = {404: "No such resource.", 405: "This resource does not have that method."}
    if isinstance(error, web.HTTPMethodNotAllowed):
        headers["Allow"] = ",".join(sorted(error.allowed_methods))
    status = HTTPStatus(error.status)
    return Problem(status, details.get(error.status, f"{status.phrase}."), headers=headers)
