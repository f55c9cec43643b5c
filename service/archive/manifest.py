"""The manifest: it lists what an archive contains, and proves that the archive is whole.

`_manifest.json` comes first: the selection, and the number of files and bytes to follow. `_members.jsonl` has a line
for each session file. `_result.json` comes last; an archive without it is not whole, even if a ZIP reader does not
notice. None of them depends on the caller or the time: the same selection of the same unchanged files is the same
archive.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, count, repeat
from typing import Any

from service.archive.figures import sha256_of, was_changed
from service.archive.plan import Folder, Plan
from service.archive.reports import SKIPPED, Report, json_report, skipped_rows
from service.store import Listing, Skipped

FORMAT = 1
MANIFEST, MEMBERS, RESULT = "_manifest.json", "_members.jsonl", "_result.json"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written to an archive: the figures of each row (None if the file was skipped), the skipped files, and,
    by row, the size and modification time in nanoseconds of files that were replaced since the plan."""

    figures: Sequence[bytes | None]
    skipped: Sequence[Skipped]
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
    members = Report(MEMBERS, lambda: _lines(plan, written))
    return [members, json_report(RESULT, lambda: _result(plan, written, members.measure.sha256))]


def _result(plan: Plan, written: Written, members_sha256: str) -> dict[str, Any]:
    sizes = [size for _, figures, size, _ in _rows(plan, written) if figures is not None]
    return {
        "format": FORMAT,
        "complete": True,
        "files": len(sizes),
        "bytes": sum(sizes),
        "skipped": skipped_rows(written.skipped),
        "members_sha256": members_sha256,
    }


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
        still_written = ', "still_written": true' if row in plan.recent or was_changed(figures) else ""
        yield (
            f'{{"name": "{name}", "user_id": {owner}, "size": {size}, '
            f'"modified_at": "{_time(mtime_ns)}", "sha256": "{digest.hex()}"{still_written}}}\n'
        ).encode()


def _time(mtime_ns: int) -> str:
    return (EPOCH + timedelta(microseconds=mtime_ns // 1000)).isoformat()
