"""Errors as clients see them: `application/problem+json` (RFC 9457), made in one place.

What a client reads is a sentence written for it. Causes, paths and SQL go to the log, with the request's id.
"""

import json
import logging
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, LooseHeaders
from pydantic import ValidationError

from service.api.requests import who
from service.catalog import CatalogError
from service.sessions import UserNotFound
from service.store import InvalidName, NotFound, NotRegular, StoreError, StoreUnavailable, Truncated, Unreadable

log = logging.getLogger(__name__)

STATUS_OF_STORE: dict[type[StoreError], HTTPStatus] = {
    InvalidName: HTTPStatus.BAD_REQUEST,
    NotRegular: HTTPStatus.BAD_REQUEST,
    NotFound: HTTPStatus.NOT_FOUND,
    Unreadable: HTTPStatus.INTERNAL_SERVER_ERROR,
    Truncated: HTTPStatus.INTERNAL_SERVER_ERROR,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
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


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Render what is raised below, unless bytes of a response have left: then only breaking off is honest. Nor is
    there anything to say to a client that has left; that is no failure."""
    try:
        return await handler(request)
    except Exception as error:
        if request.writer.output_size > 0 or (isinstance(error, ConnectionError) and _has_left(request)):
            raise
        return problem_response(request.rel_url.raw_path, problem_of(request, error))


def _has_left(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def problem_of(request: web.BaseRequest, error: Exception) -> Problem:  # noqa: PLR0911 - one line a kind
    """What a client is told of this error."""
    match error:
        case Problem():
            return error
        case UserNotFound():
            return Problem(HTTPStatus.NOT_FOUND, "User not found")
        case StoreError():
            return _of_store_error(request, error)
        case CatalogError():
            log.error("catalog: %s", error)
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The catalog does not answer.", headers=SOON)
        case ValidationError():
            return invalid_query(error)
        case web.HTTPException():
            return _of_http_exception(error)
    log.error("unexpected error", exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; its log has the cause under this request id.")


def _of_store_error(request: web.BaseRequest, error: StoreError) -> Problem:
    """That a file is not there is no event; that it is refused, or cannot be read, is one."""
    status = STATUS_OF_STORE[type(error)]
    if status != HTTPStatus.NOT_FOUND:
        level = logging.ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.WARNING
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        log.log(
            level, "%s asked for %s and gets %d: %s%s", who(request), request.rel_url.raw_path, status, error, cause
        )
    return Problem(status, str(error), headers=SOON if status == HTTPStatus.SERVICE_UNAVAILABLE else None)


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
