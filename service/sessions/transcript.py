"""A session file, read block by block: bytes in, facts out."""

import dataclasses

from service.catalog import Facts
from service.sessions.facts import Tally
from service.sessions.lines import FITTING, UNDECODABLE, decode_line, is_json

LONGEST_LINE = 64 * 1024 * 1024  # bytes that are held in memory; a longer line counts as broken


class Transcript:
    """The state of reading a file, so that of a file that grew only the new part is read.

    `position` is the end of the last whole line, from where reading continues. Pass the bytes from there to the file's
    end to `feed`, then call `finish`. When the file has grown, begin at `position` again.
    """

    def __init__(self) -> None:
        self.position = 0
        self._tally = Tally()
        self._pending = bytearray()  # bytes of the incomplete line at `position`
        self._too_long = False  # whether the line at `position` began before it, and is too long

    @property
    def weight(self) -> int:
        """Bytes of memory that this takes, roughly."""
        return self._tally.weight

    def feed(self, data: bytes) -> None:
        """Process the next bytes of the file, at most LONG."""
        first, last = data.find(b"\n"), data.rfind(b"\n")
        if first < 0:
            self._keep(data)
            return
        self._keep(data[:first])
        self._end_line()
        if first < last:
            self._take_all(data[first + 1 : last].split(b"\n"))
            self.position += last - first
        self._keep(data[last + 1 :])

    def finish(self) -> Facts:
        """The facts, after the file was fed to its end.

        A last line without a line end counts if it parses; otherwise it may still be incomplete. If it is a whole
        object, it is final, since only its line end can follow.
        """
        rest, self._pending = self._pending, bytearray()
        if line := decode_line(rest):
            self._tally.add(line)
            self.position += len(rest)
        facts = self._tally.facts()
        if line is None and is_json(rest):  # 42 may become 421
            return dataclasses.replace(facts, bad_lines=facts.bad_lines + 1)
        return facts

    def _keep(self, data: bytes) -> None:
        if self._too_long or len(self._pending) + len(data) > LONGEST_LINE:
            self.position += len(self._pending) + len(data)
            self._pending = bytearray()
            self._too_long = True
        else:
            self._pending += data

    def _end_line(self) -> None:
        if self._too_long:
            self._tally.bad_lines += 1
        else:
            self._take(self._pending)
        self.position += len(self._pending) + 1
        self._pending = bytearray()
        self._too_long = False

    def _take_all(self, lines: list[bytes]) -> None:
        """Process many lines like `_take`, without a call for each: that saves a fifth of the time of indexing."""
        decode, add = FITTING.decode, self._tally.add
        for data in lines:
            try:
                line = decode(data)
            except UNDECODABLE:
                self._take(data)
            else:
                add(line)

    def _take(self, data: bytes | bytearray) -> None:
        """Process a whole line. White space alone is not a bad line: it is an empty line, or the end of a final one."""
        if line := decode_line(data):
            self._tally.add(line)
        elif data.strip():
            self._tally.bad_lines += 1
