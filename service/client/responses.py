"""Parses responses: JSON, error documents (RFC 9457), and numbers in headers. Each defect raises a ClientError."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp import hdrs

from service.client.errors import BrokenOff, ClientError, Damaged, NotAllowed, NotFound, Refused, Unavailable

TEMPORARY_STATUSES = {429, 502, 503, 504}


@asynccontextmanager
async def body_errors() -> AsyncIterator[None]:
    """Raise network errors as BrokenOff while a body is read."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError) as error:
        raise BrokenOff(f"The transfer broke off: {error or type(error).__name__}.") from error


async def read_json(response: aiohttp.ClientResponse) -> Any:
    """The body. Raises BrokenOff, or Damaged when it is not JSON."""
    async with body_errors():
        try:
            return await response.json(content_type=None)
        except ValueError as error:
            raise Damaged(f"The server's answer is not JSON; is the URL another service's? {error}.") from error


async def read_refusal(response: aiohttp.ClientResponse) -> ClientError:
    """The error that the server names (RFC 9457), with the id under which its log has the cause."""
    status = response.status
    try:
        problem = await response.json(content_type=None)
        detail = " ".join([str(problem["detail"]), *_mistakes(problem)])
    except (aiohttp.ClientError, TimeoutError, ValueError, TypeError, LookupError):
        detail = f"{response.reason or 'no reason'}."
    text = f"{detail} ({status}, request {response.headers.get('X-Request-ID', 'unknown')})"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return NotAllowed(text)
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(text)
    if status in TEMPORARY_STATUSES:
        return Unavailable(text, parse_retry_after(response.headers.get(hdrs.RETRY_AFTER)))
    return Refused(text)


def _mistakes(problem: Mapping[str, Any]) -> Iterator[str]:
    """The error of each invalid parameter, for a 422."""
    for mistake in problem.get("errors", ()):
        yield f"{mistake['loc'][-1]}: {mistake['msg']}."


def parse_retry_after(header: str | None) -> float | None:
    """Seconds (RFC 9110 section 10.2.3: a number, or a date); None without a header that is either."""
    if header is None:
        return None
    if (seconds := parse_number(header)) is not None:
        return float(seconds)
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def parse_number(header: str | None) -> int | None:
    """A header's digits; None without a header, or with anything else in it."""
    return int(header) if header is not None and re.fullmatch(r"[0-9]{1,18}", header) else None
