"""Exceptions of the inner rooms as error responses: a status and a sentence for each. Causes go to the log."""

import logging
from http import HTTPStatus

from aiohttp import web

from service.archive import Changed
from service.catalog import CatalogError
from service.http.problems import RETRY_SOON, Problem
from service.http.requests import describe_caller
from service.sessions import NotIndexedInTime, UserNotFound
from service.store import (
    InvalidName,
    NotFound,
    NotRegular,
    Replaced,
    StoreError,
    StoreUnavailable,
    Truncated,
    Unreadable,
)

log = logging.getLogger(__name__)

STATUS_OF_STORE: dict[type[StoreError], HTTPStatus] = {
    InvalidName: HTTPStatus.BAD_REQUEST,
    NotRegular: HTTPStatus.BAD_REQUEST,
    NotFound: HTTPStatus.NOT_FOUND,
    Unreadable: HTTPStatus.INTERNAL_SERVER_ERROR,
    Truncated: HTTPStatus.INTERNAL_SERVER_ERROR,
    Replaced: HTTPStatus.INTERNAL_SERVER_ERROR,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    Changed: HTTPStatus.SERVICE_UNAVAILABLE,  # outdated figures are dropped; the next request gets the file as it is
}


def translate(request: web.BaseRequest, error: Exception) -> Problem | None:
    """The problem for an exception of the inner rooms; None for any other."""
    match error:
        case UserNotFound():
            return Problem(HTTPStatus.NOT_FOUND, "User not found")
        case NotIndexedInTime():
            detail = "The files that this selection needs are still being read; try again in a moment."
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=RETRY_SOON)
        case StoreError():
            return _of_store_error(request, error)
        case CatalogError():
            log.error("catalog: %s", error)
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The catalog does not answer.", headers=RETRY_SOON)
    return None


def _of_store_error(request: web.BaseRequest, error: StoreError) -> Problem:
    """A missing file is normal; a file that is rejected or cannot be read is logged."""
    status = STATUS_OF_STORE[type(error)]
    if status != HTTPStatus.NOT_FOUND:
        level = logging.ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.WARNING
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        caller, path = describe_caller(request), request.rel_url.raw_path
        log.log(level, "%s asked for %s and gets %d: %s%s", caller, path, status, error, cause)
    return Problem(status, str(error), headers=RETRY_SOON if status == HTTPStatus.SERVICE_UNAVAILABLE else None)
