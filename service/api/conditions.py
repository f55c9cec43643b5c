"""Conditional and range requests (RFC 9110 sections 13 and 14), for a representation with strong validators."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import ETag, hdrs, web

# One range of bytes; anything else is ignored, as section 14.2 allows. Two ranges cost no more than ten thousand.
ONE_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)
MOST_DIGITS = 4000  # below what Python converts; two numbers that long do not fit into one header


class NotSatisfiable(Exception):
    """The range begins beyond the end (section 15.5.17)."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What a representation is known by: a strong tag, and the time of its last change in whole seconds."""

    etag: str
    last_modified: datetime

    @classmethod
    def of(cls, size: int, mtime_ns: int, inode: int) -> "Validators":
        """A change in the future is said to be now (section 8.8.2.1)."""
        seconds = min(mtime_ns // 1_000_000_000, math.floor(datetime.now(UTC).timestamp()))
        return cls(f"{size:x}-{mtime_ns:x}-{inode:x}", datetime.fromtimestamp(seconds, UTC))

    @property
    def headers(self) -> dict[str, str]:
        return {"ETag": f'"{self.etag}"', hdrs.LAST_MODIFIED: format_datetime(self.last_modified, usegmt=True)}


def failed_precondition(request: web.Request, validators: Validators) -> int | None:
    """The status that answers instead of the representation, in the order of section 13.2.2; None for none."""
    if (tags := request.if_match) is not None:
        if not _lists(tags, validators.etag, strong=True):
            return 412
    elif (since := request.if_unmodified_since) is not None and validators.last_modified > since:
        return 412
    if (tags := request.if_none_match) is not None:
        if _lists(tags, validators.etag, strong=False):
            return 304
    elif (since := request.if_modified_since) is not None and validators.last_modified <= since:
        return 304
    return None


def byte_range(request: web.Request, validators: Validators, size: int) -> range | None:
    """The bytes that are asked for, or None for all of them. Raises NotSatisfiable."""
    match = ONE_RANGE.fullmatch(request.headers.get(hdrs.RANGE, ""))
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


def _number(digits: str) -> int | None:
    return int((digits.lstrip("0") or "0")[:MOST_DIGITS]) if digits else None


def _if_range(request: web.Request, validators: Validators) -> bool:
    """Section 13.1.5: the tag or the date must match exactly; a weak tag never does."""
    value = request.headers.get(hdrs.IF_RANGE)
    if value is None:
        return True
    if '"' in value:
        return value.strip() == f'"{validators.etag}"'
    return request.if_range == validators.last_modified


def _lists(tags: tuple[ETag, ...], etag: str, *, strong: bool) -> bool:
    return any(tag.value == "*" or (tag.value == etag and not (strong and tag.is_weak)) for tag in tags)
