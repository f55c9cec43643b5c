"""Compares the members of an archive with its manifest.

`_manifest.json` comes first, `_members.jsonl` next to last with a line for each session file, `_result.json` last.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from service.client.errors import Damaged
from service.client.members import Members
from service.client.zip_format import MANIFEST, MEMBERS, RESULT

FORMAT = 1
LONGEST_LINE = 64 * 1024  # bytes
SHOWN = 5  # names in an error


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that the service skipped, and the reason."""

    name: str
    reason: str


@dataclass(slots=True)
class Findings:
    """Names of session files that are listed but not in the archive, in the archive but not listed, different from the
    listed size or digest, or were still being written when they were exported."""

    missing: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    still_written: list[str] = field(default_factory=list)

    def raise_differences(self) -> None:
        """Raise Damaged unless the archive holds exactly what is listed."""
        kinds = {"missing": self.missing, "not listed": self.unlisted, "changed": self.changed}
        if differences := [f"{kind}: {_shown(names)}" for kind, names in kinds.items() if names]:
            raise Damaged(f"The archive does not hold what its manifest lists ({'; '.join(differences)}).")


class Manifest:
    """Receives the manifest's own members while they are read, and compares their lines with `members` one by one."""

    def __init__(self, members: Members, findings: Findings) -> None:
        """The reader shares both, and adds the members."""
        self._members = members
        self._findings = findings
        self._line = b""  # one that is not complete yet
        self._digest = hashlib.sha256()
        self._files = self._bytes = 0  # as listed
        self._index: dict[str, int] | None = None
        self._next = 1  # the member that the next line should list; the first one is the manifest itself

    def read_lines(self, text: bytes) -> None:
        """A part of `_members.jsonl`, which follows the last session file. Raises Damaged."""
        self._digest.update(text)
        *lines, rest = (self._line + text).split(b"\n")
        for line in lines:
            self._compare(line)
        self._line = rest
        if len(rest) > LONGEST_LINE:
            raise Damaged(f"The archive's {MEMBERS} has a line that cannot be read.")

    def check_manifest(self, text: bytes) -> None:
        """All of `_manifest.json`. Raises Damaged."""
        if _parse_object(MANIFEST, text).get("format") != FORMAT:
            raise Damaged(f"The archive's {MANIFEST} has a format that this version does not know.")

    def check_result(self, text: bytes) -> list[Skipped]:
        """All of `_result.json`; return what was skipped. Raises Damaged."""
        self._add_unlisted(self._last)
        result = _parse_object(RESULT, text)
        skipped = _skipped(RESULT, result.get("skipped"))
        if result.get("format") != FORMAT or result.get("complete") is not True:
            raise Damaged(f"The archive is not complete by its {RESULT}.")
        listed = {"files": self._files, "bytes": self._bytes, "members_sha256": self._digest.hexdigest()}
        if self._line or any(result.get(key) != value for key, value in listed.items()):
            raise Damaged(f"The archive's {MEMBERS} is not the one that its {RESULT} describes.")
        return skipped

    @property
    def _last(self) -> int:
        """The index after the last session file. Valid while `_members.jsonl` is the last member."""
        return len(self._members) - 1

    def _compare(self, line: bytes) -> None:
        row = _parse_object(MEMBERS, line)
        try:
            name, size, digest = str(row["name"]), int(row["size"]), bytes.fromhex(row["sha256"])
        except (KeyError, TypeError, ValueError) as error:
            raise Damaged(f"The archive's {MEMBERS} has a line that cannot be read.") from error
        self._files += 1
        self._bytes += size
        if row.get("still_written"):
            self._findings.still_written.append(name)
        index = self._find(name)
        if index is None:
            self._findings.missing.append(name)
            return
        if (self._members.sizes[index], self._members.digest(index)) != (size, digest):
            self._findings.changed.append(name)
        self._add_unlisted(index)
        self._next = index + 1

    def _find(self, name: str) -> int | None:
        """The index of the member with that name, searched from the next one on: lines have the archive's order."""
        names = self._members.names
        if self._next < len(names) and names[self._next] == name:
            return self._next
        if self._index is None:  # needed only where archive and manifest differ
            self._index = {name: index for index, name in enumerate(names)}
        index = self._index.get(name, 0)
        return index if index >= self._next else None

    def _add_unlisted(self, end: int) -> None:
        self._findings.unlisted += self._members.names[self._next : end]


def parse_skipped(member: str, text: bytes) -> list[Skipped]:
    """A JSON list of skipped files. Raises Damaged, which names the member."""
    return _skipped(member, _parse_json(member, text))


def _parse_object(member: str, text: bytes) -> dict[str, Any]:
    value = _parse_json(member, text)
    if not isinstance(value, dict):
        raise _unreadable(member)
    return value


def _parse_json(member: str, text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(member) from error


def _skipped(member: str, rows: Any) -> list[Skipped]:
    try:
        return [Skipped(str(row["name"]), str(row["reason"])) for row in rows]
    except (TypeError, KeyError) as error:
        raise _unreadable(member) from error


def _unreadable(member: str) -> Damaged:
    return Damaged(f"The archive's {member} cannot be read.")


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
