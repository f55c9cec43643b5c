"""The manifest: it lists what an archive contains, and proves that the archive is whole.

`_manifest.json` comes first: the selection, and the number of files and bytes to follow. `_members.jsonl` has a line
for each session file. `_result.json` comes last; an archive without it is not whole, even if a ZIP reader does not
notice. None of them depends on the caller or the time: the same selection of the same unchanged files is the same
archive.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, count, repeat
from typing import Any

from service.archive.figures import sha256_of, was_changed
from service.archive.plan import Folder, Plan
from service.archive.reports import SKIPPED, Report, json_report, json_text, skipped_rows
from service.store import Listing, Skipped

FORMAT = 1
MANIFEST, MEMBERS, RESULT = "_manifest.json", "_members.jsonl", "_result.json"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_SHA256 = "0" * 64
END, STILL_WRITTEN = "}\n", ', "still_written": true}\n'  # of a line


@dataclass(frozen=True, slots=True)
class Written:
    """What was written to an archive: the figures of each row (None if the file was skipped), the skipped files, the
    number of files and their bytes, and, by row, the size and modification time in nanoseconds of files that were
    replaced since the plan."""

    figures: Collection[bytes | None]
    skipped: Sequence[Skipped]
    files: int
    total_bytes: int
    replaced: Mapping[int, tuple[int, int]] = field(default_factory=dict)


def without_reserved_name(listing: Listing) -> Listing:
    """The listing for an archive without folders: a session file named like the manifest's list is skipped."""
    if MEMBERS not in listing.names:
        return listing
    others = {*listing.names, *(file.name for file in listing.skipped)} - {MEMBERS}
    narrowed = listing.narrowed(others)
    narrowed.skipped = (*narrowed.skipped, Skipped(MEMBERS, "It has the name of the archive's own list of members."))
    return narrowed


def first_reports(plan: Plan) -> list[Report]:
    """The members before the session files."""
    if plan.origin is None:
        return []
    manifest = {
        "format": FORMAT,
        "selection": plan.origin.selection,
        "files": plan.file_count,
        "bytes": plan.total_bytes,
        "users": [_user_row(folder) for folder in plan.folders],
        "unassigned": plan.origin.unassigned,
    }
    return [json_report(MANIFEST, lambda: manifest)]


def last_reports(plan: Plan, written: Written) -> list[Report]:
    """The members after the session files."""
    if plan.origin is None:
        return [json_report(SKIPPED, lambda: skipped_rows(written.skipped))] if written.skipped else []
    members = Report(MEMBERS, lambda: _lines(plan, written), _lines_size(plan, written))
    result = Report(RESULT, lambda: [_result(written, members.measure.sha256)], len(_result(written, NO_SHA256)))
    return [members, result]


def _result(written: Written, members_sha256: str) -> bytes:
    return json_text(
        {
            "format": FORMAT,
            "complete": True,
            "files": written.files,
            "bytes": written.total_bytes,
            "skipped": skipped_rows(written.skipped),
            "members_sha256": members_sha256,
        }
    )


def _user_row(folder: Folder) -> dict[str, Any]:
    return {
        "user_id": folder.user_id,
        "email": folder.email,
        "folder": folder.path.removesuffix("/"),
        "files": len(folder.listing.names),
        "bytes": folder.listing.total_bytes,
    }


def _rows(plan: Plan, written: Written) -> Iterator[tuple[int, bytes | None, int, int]]:
    """Row, figures, size and modification time of each file; of a file that was replaced, those that were written."""
    rows = zip(count(), written.figures, plan.sizes, plan.mtimes_ns, strict=False)
    if not written.replaced:
        return rows
    return ((row, figures, *written.replaced.get(row, file)) for row, figures, *file in rows)


def _lines(plan: Plan, written: Written) -> Iterator[bytes]:
    """The lines of `_members.jsonl`. Names are plain ASCII, so they need no JSON encoder."""
    owners = chain.from_iterable(
        repeat(json.dumps(folder.user_id), len(folder.listing.names)) for folder in plan.folders
    )
    for name, owner, (row, figures, size, mtime_ns) in zip(plan.names(), owners, _rows(plan, written), strict=True):
        if figures is None:
            continue
        digest = sha256_of(figures)
        assert digest is not None  # noqa: S101 - with a manifest, every file was hashed
        end = STILL_WRITTEN if row in plan.recent or was_changed(figures) else END
        yield (_line(name, owner, str(size), mtime_ns, digest.hex()) + end).encode()


def _line(name: str, owner: str, size: str, mtime_ns: int, sha256: str) -> str:
    """A line without its end."""
    modified_at = (EPOCH + timedelta(microseconds=mtime_ns // 1000)).isoformat(timespec="microseconds")
    return (
        f'{{"name": "{name}", "user_id": {owner}, "size": {size}, "modified_at": "{modified_at}", "sha256": "{sha256}"'
    )


def _lines_size(plan: Plan, written: Written) -> int | None:
    """The bytes of the lines, without making them; None if not all files are in the archive as planned."""
    if written.replaced or None in written.figures:
        return None
    recent = plan.recent
    still_written = sum(
        row in recent or was_changed(figures) for row, figures in enumerate(written.figures) if figures is not None
    )
    return (
        len(_line("", "", "", 0, NO_SHA256) + END) * len(written.figures)
        + sum(map(len, plan.names()))
        + sum(len(json.dumps(folder.user_id)) * len(folder.listing.names) for folder in plan.folders)
        + sum(map(len, map(str, plan.sizes)))
        + (len(STILL_WRITTEN) - len(END)) * still_written
    )
