"""Errors of the rooms below as answers: a status and a sentence for each. Causes go to the log."""

import logging
from http import HTTPStatus

from aiohttp import web

from service.catalog import CatalogError
from service.http.problems import SOON, Problem
from service.http.requests import who
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


def translate(request: web.BaseRequest, error: Exception) -> Problem | None:
    """The answer for this error; None where it is none of theirs."""
    match error:
        case UserNotFound():
            return Problem(HTTPStatus.NOT_FOUND, "User not found")
        case StoreError():
            return _of_store_error(request, error)
        case CatalogError():
            log.error("catalog: %s", error)
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The catalog does not answer.", headers=SOON)
    return None


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
