"""Conditional and range requests (RFC 9110 sections 13 and 14) for a representation with a strong entity tag.

Several lines of one header form one list (section 5.3). An invalid entity tag never matches; an invalid date or range
is ignored. Parsing a header takes time in proportion to its length.
"""

import contextlib
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus

from aiohttp import hdrs, web

from service.http.problems import Problem

# One byte range; any other value is ignored, as section 14.2 allows. So a request for many ranges costs no more than
# a request for one.
ONE_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)
MAX_DIGITS = 4000  # fewer than Python refuses to convert; two longer numbers do not fit into one header
# One element of a list of entity tags (section 8.8.3), with the separators before it; a list may have empty elements
# (section 5.6.1.2).
TAG = re.compile(r'[ \t,]*(W/)?"([^\x00-\x20"\x7f]*)"[ \t]*(?=,|$)')
END_OF_TAGS = re.compile(r"[ \t,]*")
# The preferred form of an HTTP-date, and the two obsolete ones that a recipient must accept (section 5.6.7). aiohttp's
# own parser treats a time in another zone as GMT, and fails on a year of twenty digits.
DATE_FORMS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


class NotSatisfiable(Exception):
    """The range begins beyond the end of the representation (section 15.5.17)."""


@dataclass(frozen=True, slots=True)
class Validators:
    """A strong entity tag, without its quotes, and the time of the last change in whole seconds, UTC. Without a time,
    as for an archive, conditions with a date are ignored, and a date in `If-Range` does not match."""

    etag: str
    last_modified: datetime | None = None

    @classmethod
    def of(cls, size: int, mtime_ns: int, identity: bytes) -> "Validators":
        """Those of a file. A modification time in the future is sent as now (section 8.8.2.1)."""
        seconds = min(mtime_ns // 1_000_000_000, math.floor(datetime.now(UTC).timestamp()))
        return cls(f"{size:x}-{mtime_ns:x}-{identity.hex()}", datetime.fromtimestamp(seconds, UTC))

    @property
    def headers(self) -> dict[str, str]:
        headers = {"ETag": f'"{self.etag}"'}
        if self.last_modified is not None:
            headers[hdrs.LAST_MODIFIED] = format_datetime(self.last_modified, usegmt=True)
        return headers

    def changed_since(self, date: str | None) -> bool | None:
        """Whether the last change is later than this HTTP-date; None if that is unknown or `date` is no HTTP-date."""
        since = _parse_date(date)
        return None if since is None or self.last_modified is None else self.last_modified > since


def precondition_response(
    request: web.Request, validators: Validators, representation: str = "file"
) -> web.Response | None:
    """The 304 to send instead of the representation; None if its preconditions hold. Raises a Problem with status 412.
    `representation`: the noun for it in error messages."""
    match failed_precondition(request, validators):
        case HTTPStatus.NOT_MODIFIED:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=validators.headers)
        case HTTPStatus.PRECONDITION_FAILED as status:
            raise Problem(status, f"The {representation} is not as the request expects it.")
    return None


def failed_precondition(request: web.Request, validators: Validators) -> HTTPStatus | None:
    """304 or 412 if a precondition fails, evaluated in the order of section 13.2.2; else None."""
    if (tags := _joined(request, hdrs.IF_MATCH)) is not None:
        if not _lists(tags, validators.etag, strong=True):
            return HTTPStatus.PRECONDITION_FAILED
    elif validators.changed_since(_joined(request, hdrs.IF_UNMODIFIED_SINCE)) is True:
        return HTTPStatus.PRECONDITION_FAILED
    if (tags := _joined(request, hdrs.IF_NONE_MATCH)) is not None:
        if _lists(tags, validators.etag, strong=False):
            return HTTPStatus.NOT_MODIFIED
    elif validators.changed_since(_joined(request, hdrs.IF_MODIFIED_SINCE)) is False:
        return HTTPStatus.NOT_MODIFIED
    return None


def requested_range(
    request: web.Request, validators: Validators, size: int, representation: str = "file"
) -> range | None:
    """The bytes of one range; None for the whole representation. Raises a Problem with status 416.
    `representation`: the noun for it in error messages."""
    try:
        return byte_range(request, validators, size)
    except NotSatisfiable:
        raise Problem(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"The range begins beyond the end of the {representation}.",
            headers={hdrs.CONTENT_RANGE: f"bytes */{size}", hdrs.ACCEPT_RANGES: "bytes"},
        ) from None


def content_range(part: range, size: int) -> str:
    """The value of `Content-Range` in a 206 (section 14.4)."""
    return f"bytes {part.start}-{part.stop - 1}/{size}"


def byte_range(request: web.Request, validators: Validators, size: int) -> range | None:
    """The bytes of one range; None for the whole representation. Raises NotSatisfiable."""
    match = ONE_RANGE.fullmatch(_joined(request, hdrs.RANGE) or "")
    if match is None or not any(match.groups()) or not _if_range_matches(request, validators):
        return None
    first, last = (_number(digits) for digits in match.groups())
    if first is None:  # a suffix: the last `last` bytes
        start, end = max(size - (last or 0), 0), size
    elif last is not None and last < first:
        return None  # invalid, therefore ignored (section 14.1.1)
    else:
        start, end = first, size if last is None else min(last + 1, size)
    if start >= end:
        raise NotSatisfiable
    return range(start, end)


def _joined(request: web.Request, name: str) -> str | None:
    """The header's value, its lines joined (section 5.3); None if the request does not have it."""
    lines = request.headers.getall(name, None)
    return None if lines is None else ", ".join(lines)


def _number(digits: str) -> int | None:
    return int((digits.lstrip("0") or "0")[:MAX_DIGITS]) if digits else None


def _parse_date(value: str | None) -> datetime | None:
    """An HTTP-date; None for anything else, which must be ignored (section 13.1.3)."""
    for form in DATE_FORMS if value else ():
        with contextlib.suppress(ValueError):
            return datetime.strptime(str(value), form).replace(tzinfo=UTC)
    return None


def _if_range_matches(request: web.Request, validators: Validators) -> bool:
    """Section 13.1.5: the entity tag or the date must match exactly; a weak tag never does."""
    value = _joined(request, hdrs.IF_RANGE)
    if value is None:
        return True
    if '"' in value:
        return value.strip() == f'"{validators.etag}"'
    return validators.last_modified is not None and _parse_date(value) == validators.last_modified


def _lists(tags: str, etag: str, *, strong: bool) -> bool:
    """Whether the list of entity tags, or `*`, includes this one. An invalid list includes none."""
    if tags.strip() == "*":
        return True
    found, at = False, 0
    while member := TAG.match(tags, at):
        weak, value = member.groups()
        found = found or (value == etag and not (strong and weak))
        at = member.end()
    return found and END_OF_TAGS.fullmatch(tags, at) is not None
