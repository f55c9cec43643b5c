"""Reads a session in pages: whole lines of its file, from any byte on. All functions block.

A page costs the same at any offset: only the bytes of the page are read.
"""

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from service.sessions.lines import UNDECODABLE, decode_line, replace_lone_surrogates
from service.store import OpenFile

BLOCK = 256 * 1024  # bytes read at once
MAX_LINE = 1024 * 1024  # bytes of a line in a page; a longer one is cut
MAX_PAGE = 4 * 1024 * 1024  # bytes of all lines of a page
MAX_READ = 64 * 1024 * 1024  # bytes read for a page; a longer line ends there, and the next page skips its rest

# JSON has no limits, but parsers have: Python's accepts integers of 4,300 digits and 1,000 levels; others accept less.
MAX_DEPTH = 200
LONG_NUMBER = re.compile(rb"[0-9]{1000}")


@dataclass(frozen=True, slots=True)
class PageLine:
    """`offset` and `length` are in bytes of the file and include the line end. `content` excludes it, and is cut after
    `MAX_LINE` bytes."""

    offset: int
    length: int
    content: bytes
    is_cut: bool


@dataclass(frozen=True, slots=True)
class LinePage:
    """`next` is the byte at which the next page begins; None at the end of the file. `size` is the file's."""

    lines: list[PageLine]
    next: int | None
    size: int

    @property
    def content_bytes(self) -> int:
        return sum(len(line.content) for line in self.lines)


def read_page(file: OpenFile, start: int, limit: int, *, errors: bool = False) -> LinePage:
    """At most `limit` lines from the first one that begins at `start` or later; with `errors`, only lines that report a
    failed tool call. Raises Truncated, Replaced or Unreadable."""
    lines = _Lines(file, min(max(start - 1, 0), file.size))
    if start:
        lines.skip()  # to the end of the line that contains the previous byte; a whole line begins there
    page: list[PageLine] = []
    room = MAX_PAGE
    while len(page) < limit and (line := lines.read()):
        if errors and not _reports_error(line):
            continue
        room -= len(line.content)
        if room < 0:
            return LinePage(page, line.offset, file.size)
        page.append(line)
    return LinePage(page, lines.position if lines.position < file.size else None, file.size)


def json_value(line: PageLine) -> bytes | None:
    """The line's content if it is a JSON value that every parser accepts; else None."""
    content = line.content
    if line.is_cut or LONG_NUMBER.search(content):
        return None
    values = _decode(content) or _decode(replace_lone_surrogates(content))
    if not values:
        return None
    brackets = content.count(b"[") + content.count(b"{")
    return content if brackets <= MAX_DEPTH or not _is_deeper(values, MAX_DEPTH) else None


def _reports_error(line: PageLine) -> bool:
    """Whether the line reports a failed tool call. A cut line is not examined: it is no JSON."""
    if line.is_cut or b"is_error" not in line.content:  # no agent writes this key with escapes
        return False
    decoded = decode_line(line.content)
    return decoded is not None and decoded.reports_error


class _Lines:
    """Reads lines, at most `MAX_READ` bytes of them. `position` is where the next line begins."""

    def __init__(self, file: OpenFile, position: int) -> None:
        self._file = file
        self.position = self._start = self._read_to = position
        self._end = min(file.size, position + MAX_READ)
        self._block = b""
        self._at = 0  # where in the block the next line begins

    def read(self) -> PageLine | None:
        """The next line; None at the end. A line that exceeds the read limit is returned only if it is the first."""
        content, length, is_whole = bytearray(), 0, False
        while not is_whole and self._fill():
            end = self._block.find(b"\n", self._at) + 1
            is_whole = end > 0
            piece = self._block[self._at : end or len(self._block)]
            content += piece[: MAX_LINE + 1 - len(content)]
            length += len(piece)
            self._at += len(piece)
        is_partial = not is_whole and self._read_to < self._file.size
        if length == 0 or (is_partial and self.position > self._start):
            return None
        offset, self.position = self.position, self.position + length
        is_cut = length - is_whole > MAX_LINE
        return PageLine(offset, length, bytes(content[: MAX_LINE if is_cut else length - is_whole]), is_cut)

    def skip(self) -> None:
        """Advance to the end of the line, by at most `MAX_READ` bytes."""
        is_whole = False
        while not is_whole and self._fill():
            end = self._block.find(b"\n", self._at) + 1
            is_whole = end > 0
            self._at = end or len(self._block)
        self.position = self._start = self._read_to - len(self._block) + self._at
        if is_whole:
            self._end = min(self._file.size, self.position + MAX_READ)

    def _fill(self) -> bool:
        """Read the next block if this one is used up; return whether there are unread bytes."""
        if self._at == len(self._block) and self._read_to < self._end:
            self._block = self._file.read_at(self._read_to, min(BLOCK, self._end - self._read_to))
            self._read_to += len(self._block)
            self._at = 0
        return self._at < len(self._block)


def _decode(content: bytes) -> list[Any]:
    """A list with the decoded value; empty if it cannot be decoded."""
    try:
        return [msgspec.json.decode(content)]
    except UNDECODABLE:
        return []


def _is_deeper(level: list[Any], most: int) -> bool:
    for _ in range(most + 1):
        level = [item for one in level for item in _items(one)]
        if not level:
            return False
    return True


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
