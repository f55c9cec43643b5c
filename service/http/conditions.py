"""Conditional and range requests (RFC 9110 sections 13 and 14), for a representation with strong validators.

Several lines of one header are one list (section 5.3). What is no valid value is no condition that holds: a tag that
does not match, a date and a range that are ignored. What a header costs is in proportion to its length.
"""

import contextlib
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import hdrs, web

# One range of bytes; anything else is ignored, as section 14.2 allows. Two ranges cost no more than ten thousand.
ONE_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)
MOST_DIGITS = 4000  # below what Python converts; two numbers that long do not fit into one header
# A member of a list of entity tags (section 8.8.3), and what divides it from the one before; elements that are empty
# are allowed (section 5.6.1.2).
TAG = re.compile(r'[ \t,]*(W/)?"([^\x00-\x20"\x7f]*)"[ \t]*(?=,|$)')
END = re.compile(r"[ \t,]*")
# The form that is sent today, and the two that must be understood (section 5.6.7). aiohttp's own reading takes a time
# in another zone for one in GMT, and fails on a year of twenty digits.
DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


class NotSatisfiable(Exception):
    """The range begins beyond the end (section 15.5.17)."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What a representation is known by: a strong tag, and the time of its last change in whole seconds."""

    etag: str
    last_modified: datetime

    @classmethod
    def of(cls, size: int, mtime_ns: int, identity: bytes) -> "Validators":
        """A change in the future is said to be now (section 8.8.2.1)."""
        seconds = min(mtime_ns // 1_000_000_000, math.floor(datetime.now(UTC).timestamp()))
        return cls(f"{size:x}-{mtime_ns:x}-{identity.hex()}", datetime.fromtimestamp(seconds, UTC))

    @property
    def headers(self) -> dict[str, str]:
        return {"ETag": f'"{self.etag}"', hdrs.LAST_MODIFIED: format_datetime(self.last_modified, usegmt=True)}


def failed_precondition(request: web.Request, validators: Validators) -> int | None:
    """The status that answers instead of the representation, in the order of section 13.2.2; None for none."""
    if (tags := _value(request, hdrs.IF_MATCH)) is not None:
        if not _lists(tags, validators.etag, strong=True):
            return 412
    elif (since := _date(_value(request, hdrs.IF_UNMODIFIED_SINCE))) and validators.last_modified > since:
        return 412
    if (tags := _value(request, hdrs.IF_NONE_MATCH)) is not None:
        if _lists(tags, validators.etag, strong=False):
            return 304
    elif (since := _date(_value(request, hdrs.IF_MODIFIED_SINCE))) and validators.last_modified <= since:
        return 304
    return None


def byte_range(request: web.Request, validators: Validators, size: int) -> range | None:
    """The bytes that are asked for, or None for all of them. Raises NotSatisfiable."""
    match = ONE_RANGE.fullmatch(_value(request, hdrs.RANGE) or "")
    if match is None or not any(match.groups()) or not _if_range(request, validators):
        return None
    first, last = (_number(digits) for digits in match.groups())
    if first is None:  # the last so many
        start, end = max(size - (last or 0), 0), size
    elif last is not None and last < first:
        return None  # not valid, therefore ignored (section 14.1.1)
    else:
        start, end = first, size if last is None else min(last + 1, size)
    if start >= end:
        raise NotSatisfiable
    return range(start, end)


def _value(request: web.Request, name: str) -> str | None:
    """A header's value, its lines joined (section 5.3); None where there is none."""
    lines = request.headers.getall(name, None)
    return None if lines is None else ", ".join(lines)


def _number(digits: str) -> int | None:
    return int((digits.lstrip("0") or "0")[:MOST_DIGITS]) if digits else None


def _date(value: str | None) -> datetime | None:
    """An HTTP-date, or None for what is none and has to be ignored (section 13.1.3)."""
    for form in DATES if value else ():
        with contextlib.suppress(ValueError):
            return datetime.strptime(str(value), form).replace(tzinfo=UTC)
    return None


def _if_range(request: web.Request, validators: Validators) -> bool:
    """Section 13.1.5: the tag or the date must match exactly; a weak tag never does."""
    value = _value(request, hdrs.IF_RANGE)
    if value is None:
        return True
    if '"' in value:
        return value.strip() == f'"{validators.etag}"'
    return _date(value) == validators.last_modified


def _lists(tags: str, etag: str, *, strong: bool) -> bool:
    """Whether the list of entity tags, or `*`, has this one. A list that is not valid has none."""
    if tags.strip() == "*":
        return True
    found, at = False, 0
    while member := TAG.match(tags, at):
        weak, value = member.groups()
        found = found or (value == etag and not (strong and weak))
        at = member.end()
    return found and END.fullmatch(tags, at) is not None
