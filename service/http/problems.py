"""Error responses: `application/problem+json` (RFC 9457), made in one place.

The client gets a sentence written for clients. Causes, paths and SQL go to the log, with the request's id.
"""

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, LooseHeaders, Middleware
from pydantic import ValidationError

from service.http.requests import sent_url

log = logging.getLogger(__name__)

UNEXPECTED = "The service failed; its log has the cause under this request id."
RETRY_SOON = {hdrs.RETRY_AFTER: "5"}  # headers of a 503 whose cause may pass within seconds


class Problem(Exception):
    """An error response, raised. `detail` is one plain sentence for the client; `members` are further JSON members."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, headers: LooseHeaders | None = None, **members: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.members = members


def problem_response(instance: str | None, problem: Problem) -> web.Response:
    """The response for a problem. `instance` is the path of the request, still encoded; None if unknown."""
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
    """The middleware that turns exceptions into error responses. `translate` knows the exceptions of the inner rooms.

    If bytes of a response were already sent, the exception goes on and aiohttp closes the connection, since an error
    can no longer be reported. A client that has disconnected gets no response, and that is no error.
    """

    @web.middleware
    async def rendered(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Exception as error:
            if request.writer.output_size > 0 or (isinstance(error, ConnectionError) and _has_disconnected(request)):
                raise
            problem = problem_of(error) or translate(request, error)
            if problem is None:
                log.exception("unexpected error")
                problem = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED)
            return problem_response(sent_url(request).raw_path, problem)

    return rendered


def _has_disconnected(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def problem_of(error: Exception) -> Problem | None:
    """The problem for an exception of this room or of aiohttp; None for any other."""
    match error:
        case Problem():
            return error
        case ValidationError():
            return invalid_request(error, "query")
        case web.HTTPException():
            return _of_http_exception(error)
    return None


def invalid_request(error: ValidationError, part: str) -> Problem:
    """422 with an error for each invalid member of this part of the request: `query` or `body`."""
    found = error.errors(include_url=False)
    return _invalid([{"loc": [part, *one["loc"]], "msg": one["msg"], "type": one["type"]} for one in found])


def invalid_member(name: str, message: str, kind: str) -> Problem:
    """422 with one error, for a member of the body that is invalid although its type is right."""
    return _invalid([{"loc": ["body", name], "msg": message, "type": kind}])


def _invalid(errors: list[dict[str, Any]]) -> Problem:
    names = ", ".join(dict.fromkeys(str(error["loc"][-1]) for error in errors))
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"Not valid: {names}.", errors=errors)


def _of_http_exception(error: web.HTTPException) -> Problem:
    """Raised by aiohttp itself: an unknown path, a wrong method, a body that is too large."""
    headers: dict[str, str] = {}
    details: dict[int, str] = {404: "No such resource.", 405: "This resource does not have that method."}
    if isinstance(error, web.HTTPMethodNotAllowed):
        headers["Allow"] = ",".join(sorted(error.allowed_methods))
    status = HTTPStatus(error.status)
    return Problem(status, details.get(error.status, f"{status.phrase}."), headers=headers)
