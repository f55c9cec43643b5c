"""What a response says: a body that breaks off, JSON that is none, and refusals (RFC 9457), each as its error."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp import hdrs

from service.client.errors import BrokenOff, ClientError, Damaged, NotAllowed, NotFound, Refused, Unavailable

PASSING = {429, 502, 503, 504}


@asynccontextmanager
async def reading() -> AsyncIterator[None]:
    """Around the reading of a body: what goes wrong with it on its way."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError) as error:
        raise BrokenOff(f"The transfer broke off: {error or type(error).__name__}.") from error


async def json_of(response: aiohttp.ClientResponse) -> Any:
    """The body. Raises Damaged when it is not JSON."""
    try:
        return await response.json(content_type=None)
    except ValueError as error:
        raise Damaged(f"The server's answer is not JSON, as if the URL were another service's: {error}.") from error


async def refusal(response: aiohttp.ClientResponse) -> ClientError:
    """What the server says (RFC 9457), with the id under which its log has the cause."""
    status = response.status
    try:
        problem = await response.json(content_type=None)
        detail = str(problem["detail"])
    except (aiohttp.ClientError, TimeoutError, ValueError, TypeError, KeyError):
        detail = f"{response.reason or 'no reason'}."
    text = f"{detail} ({status}, request {response.headers.get('X-Request-ID', 'unknown')})"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return NotAllowed(text)
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(text)
    if status in PASSING:
        return Unavailable(text, wait_of(response.headers.get(hdrs.RETRY_AFTER)))
    return Refused(text)


def wait_of(retry_after: str | None) -> float | None:
    """The seconds of a Retry-After (RFC 9110 section 10.2.3: a number, or a date); None where it says none."""
    if retry_after is None:
        return None
    if (seconds := number(retry_after)) is not None:
        return float(seconds)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def number(text: str | None) -> int | None:
    """A header's digits; None where there is no header, or something else in it."""
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text) else None
