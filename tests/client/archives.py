"""Archives as the service makes them, from bytes."""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime

from stream_zip import NO_COMPRESSION_32, NO_COMPRESSION_64, ZIP_32, ZIP_64, Method, stream_zip

from service.archive.codec import crc32

WHEN = datetime(2026, 5, 10, 12, tzinfo=UTC)


def archive_of(files: dict[str, bytes], method: str = "zip32") -> bytes:
    return archive_of_members(files.items(), method)


def archive_of_members(members: Iterable[tuple[str, bytes]], method: str = "zip32") -> bytes:
    """Names may occur twice."""

    def how(data: bytes) -> Method:
        match method:
            case "zip32":
                return ZIP_32
            case "zip64":
                return ZIP_64
            case "store32":
                return NO_COMPRESSION_32(len(data), crc32(data))
        return NO_COMPRESSION_64(len(data), crc32(data))

    return b"".join(stream_zip((name, WHEN, 0o100600, how(data), [data]) for name, data in members))


def line_of(name: str, data: bytes, **more: object) -> dict[str, object]:
    """A line of `_members.jsonl`."""
    digest = hashlib.sha256(data).hexdigest()
    fields = {"name": name, "user_id": "u-1", "size": len(data), "modified_at": WHEN.isoformat(), "sha256": digest}
    return fields | more


def manifested(
    files: dict[str, bytes],
    lines: list[dict[str, object]] | None = None,
    result: dict[str, object] | None = None,
) -> dict[str, bytes]:
    """The files between the members of a manifest that lists them, or that has other lines or fields in its result."""
    listed = [line_of(name, data) for name, data in files.items()] if lines is None else lines
    text = b"".join(json.dumps(line).encode() + b"\n" for line in listed)
    total = sum(int(str(line["size"])) for line in listed)
    counts = {"files": len(listed), "bytes": total}
    manifest = {"format": 1, "selection": {}, **counts, "users": [], "unassigned": []}
    digest = hashlib.sha256(text).hexdigest()
    end = {"format": 1, "complete": True, **counts, "skipped": [], "members_sha256": digest} | (result or {})
    return {
        "_manifest.json": json.dumps(manifest).encode(),
        **files,
        "_members.jsonl": text,
        "_result.json": json.dumps(end).encode(),
    }
