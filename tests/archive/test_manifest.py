"""The manifest: what it says, that parts have it too, and what it says of files that are being written."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.archive import Archive, Changed, Compression, Folder, Layout, Origin, Part, Plan, Remembered
from service.archive.codec import BLOCK
from service.archive.sizing import Sizing
from service.client import verify_archive
from service.pools import Pool
from service.store import NotFound, OpenFile, Skipped
from tests.archive.memory import MemoryFile, MemoryFiles, source_of

CONTENTS = {"a.jsonl": b"a\n", "b.jsonl": b"b" * (2 * BLOCK + 5), "c.jsonl": b""}
ORIGIN = Origin({"since": "2026-10-01T00:00:00+00:00"}, [{"directory": "x", "sessions": 3}])


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    made = Pool("deflate", 2)
    yield made
    made.close()


class Sample:
    """Two users' files, exported with a manifest."""

    def __init__(self, compression: Compression = Compression.FAST) -> None:
        self.files = [MemoryFiles(dict(CONTENTS)), MemoryFiles({"z.jsonl": b"z"})]
        folders = [
            Folder("u-1/", self.files[0].listing(), "u-1", "alice@example.com"),
            Folder("u-2/", self.files[1].listing(), "u-2", "zoë@example.com"),
        ]
        self.plan = Plan(folders, compression, b"dialect.", ORIGIN)
        self.sources = {folder.path: source_of(files.open) for folder, files in zip(folders, self.files, strict=True)}
        self.remembered = Remembered()

    def archive(self, pool: Pool) -> Archive:
        return Archive(self.plan, self.sources, pool, self.remembered)

    def layout(self) -> Layout:
        figures = self.remembered.all_of(self.plan.keys())
        assert all(map(self.plan.is_known, figures))
        return Layout(self.plan, [found for found in figures if found])

    def part(self, layout: Layout, wanted: range, pool: Pool) -> bytes:
        return b"".join(Part(layout, wanted, self.sources, pool, self.remembered).chunks())


def read(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def lines_of(found: dict[str, bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found["_members.jsonl"].splitlines()]


@pytest.mark.parametrize("compression", Compression)
async def test_an_archive_says_what_it_holds_and_verify_agrees(
    pool: Pool, tmp_path: Path, compression: Compression
) -> None:
    sample = Sample(compression)
    data = b"".join(sample.archive(pool).chunks())
    found = read(data)
    files = {f"u-1/{name}": text for name, text in CONTENTS.items()} | {"u-2/z.jsonl": b"z"}
    assert list(found) == ["_manifest.json", *files, "_members.jsonl", "_result.json"]
    total = sum(map(len, files.values()))
    first = sum(map(len, CONTENTS.values()))
    assert json.loads(found["_manifest.json"]) == {
        "format": 1,
        "selection": {"since": "2026-10-01T00:00:00+00:00"},
        "files": 4,
        "bytes": total,
        "users": [
            {"user_id": "u-1", "email": "alice@example.com", "folder": "u-1", "files": 3, "bytes": first},
            {"user_id": "u-2", "email": "zoë@example.com", "folder": "u-2", "files": 1, "bytes": 1},
        ],
        "unassigned": [{"directory": "x", "sessions": 3}],
    }
    assert lines_of(found) == [
        {
            "name": name,
            "user_id": name.partition("/")[0],
            "size": len(text),
            "modified_at": "2025-10-09T08:53:20.000000+00:00",
            "sha256": hashlib.sha256(text).hexdigest(),
        }
        for name, text in files.items()
    ]
    assert json.loads(found["_result.json"]) == {
        "format": 1,
        "complete": True,
        "files": 4,
        "bytes": total,
        "skipped": [],
        "members_sha256": hashlib.sha256(found["_members.jsonl"]).hexdigest(),
    }
    (tmp_path / "export.zip").write_bytes(data)
    verified = await verify_archive(tmp_path / "export.zip")
    assert verified.files == 4


@pytest.mark.parametrize("compression", Compression)
def test_every_part_has_the_same_manifest(pool: Pool, compression: Compression) -> None:
    sample = Sample(compression)
    whole = b"".join(sample.archive(pool).chunks())
    layout = sample.layout()
    assert layout.size == len(whole)
    begin = layout.offsets[0]
    for start in {0, 1, begin - 1, *layout.offsets, layout.offsets[-1] + 200, layout.size // 2, layout.size - 1}:
        for stop in {start + 1, layout.size}:
            assert sample.part(layout, range(start, stop), pool) == whole[start:stop], (start, stop)


def test_what_was_measured_without_digests_is_measured_again(pool: Pool) -> None:
    sample = Sample()
    whole = b"".join(sample.archive(pool).chunks())
    sample.remembered = Remembered()
    plain = replace(sample.plan, origin=None)
    list(Archive(plain, sample.sources, pool, sample.remembered).chunks())
    assert not any(map(sample.plan.is_known, sample.remembered.all_of(sample.plan.keys())))
    Sizing(sample.plan, sample.sources, pool, sample.remembered).run()
    list(Archive(plain, sample.sources, pool, sample.remembered).chunks())
    layout = sample.layout()
    assert sample.part(layout, range(layout.size), pool) == whole, "digests are kept"


@pytest.mark.parametrize("name", ["a.jsonl", "b.jsonl"])
def test_a_file_that_is_changed_while_it_is_read_is_still_written(pool: Pool, name: str) -> None:
    """Once it has been said, all parts say so."""
    sample = Sample()
    opened = sample.files[0].open

    def changing(asked: str) -> OpenFile:
        file = opened(asked)
        assert isinstance(file, MemoryFile)
        file.changed = asked == name
        return file

    sample.sources["u-1/"] = source_of(changing)
    archive = sample.archive(pool)
    whole = b"".join(archive.chunks())
    assert [line["name"] for line in lines_of(read(whole)) if line.get("still_written")] == [f"u-1/{name}"]
    assert archive.kept_to_plan
    layout = sample.layout()
    assert sample.part(layout, range(layout.size), pool) == whole
    sample.remembered = Remembered()
    with pytest.raises(Changed):
        Sizing(sample.plan, sample.sources, pool, sample.remembered).run()


def test_a_file_that_has_grown_since_the_listing_is_still_written(pool: Pool) -> None:
    sample = Sample()
    sample.files[1].contents["z.jsonl"] += b"more"
    found = read(b"".join(sample.archive(pool).chunks()))
    assert found["u-2/z.jsonl"] == b"z"
    assert [line["name"] for line in lines_of(found) if line.get("still_written")] == ["u-2/z.jsonl"]


def test_a_file_that_was_changed_moments_before_is_still_written_and_that_is_another_plan(pool: Pool) -> None:
    sample = Sample()
    settled = sample.plan.tag
    sample.plan = replace(sample.plan, recent=frozenset([1]))
    found = read(b"".join(sample.archive(pool).chunks()))
    assert [line["name"] for line in lines_of(found) if line.get("still_written")] == ["u-1/b.jsonl"]
    assert sample.plan.tag != settled


def test_what_is_skipped_or_replaced_is_as_it_went_in(pool: Pool) -> None:
    sample = Sample()
    sample.files[0].contents["b.jsonl"] = b"another file"
    sample.files[0].identities["b.jsonl"] = b"2"
    sample.plan.folders[1].listing.skipped = (Skipped("link.jsonl", "Not a regular file."),)
    opened = sample.files[0].open

    def refusing(name: str) -> OpenFile:
        if name == "a.jsonl":
            raise NotFound
        return opened(name)

    sample.sources["u-1/"] = source_of(refusing)
    archive = sample.archive(pool)
    found = read(b"".join(archive.chunks()))
    assert list(found) == [
        "_manifest.json", "u-1/b.jsonl", "u-1/c.jsonl", "u-2/z.jsonl", "_members.jsonl", "_result.json"
    ]  # fmt: skip
    assert [(line["name"], line["size"]) for line in lines_of(found)] == [
        ("u-1/b.jsonl", 12),
        ("u-1/c.jsonl", 0),
        ("u-2/z.jsonl", 1),
    ]
    result = json.loads(found["_result.json"])
    assert (result["files"], result["bytes"]) == (3, 13)
    assert result["skipped"] == [
        {"name": "u-2/link.jsonl", "reason": "Not a regular file."},
        {"name": "u-1/a.jsonl", "reason": "No such session file."},
    ]
    assert not archive.kept_to_plan


def test_an_empty_archive_has_a_manifest_that_says_so(pool: Pool) -> None:
    plan = Plan([], Compression.FAST, b"dialect.", Origin({}))
    data = b"".join(Archive(plan, {}, pool, Remembered()).chunks())
    assert list(read(data)) == ["_manifest.json", "_members.jsonl", "_result.json"]
    layout = Layout(plan, [])
    assert b"".join(Part(layout, range(layout.size), {}, pool, Remembered()).chunks()) == data


def test_the_lines_of_many_members_are_made_in_blocks(pool: Pool) -> None:
    """More than a block of lines; the whole text is never in one piece."""
    files = MemoryFiles({f"{n:05}.jsonl": b"" for n in range(7_000)})
    plan = Plan([Folder("", files.listing(), "u", "u@x")], Compression.SMALL, b"dialect.", Origin({}))
    sources, remembered = {"": source_of(files.open)}, Remembered()
    whole = b"".join(Archive(plan, sources, pool, remembered).chunks())
    found = read(whole)
    assert len(found["_members.jsonl"]) > BLOCK
    assert [line["name"] for line in lines_of(found)] == list(files.contents)
    layout = Layout(plan, [figures for figures in remembered.all_of(plan.keys()) if figures])
    for wanted in (range(layout.size), range(layout.size - 400_000, layout.size)):
        assert b"".join(Part(layout, wanted, sources, pool, remembered).chunks()) == whole[wanted.start : wanted.stop]
