"""The reader of streamed archives: what it lets through, and what it calls damage."""

import io
import json
import random
import zipfile
from collections.abc import Iterable

import pytest

from service.client import Damaged
from service.client.manifest import Skipped
from service.client.reader import Reader
from tests.client.archives import WHEN, archive_of, archive_of_members, manifested

FILES = {
    "a.jsonl": b'{"text": "hello"}\n' * 50,
    "empty.jsonl": b"",
    "noise.jsonl": random.Random(1).randbytes(3000),
}


class Kept:
    """A target that keeps what it gets."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.times: list[float] = []
        self.ended: list[str] = []

    def begin(self, name: str, mtime: float) -> None:
        self.files[name] = bytearray()
        self.times.append(mtime)

    def take(self, text: bytes) -> None:
        self.files[list(self.files)[-1]] += text

    def end(self) -> None:
        self.ended.append(list(self.files)[-1])


def fed(chunks: Iterable[bytes]) -> tuple[Kept, Reader]:
    kept = Kept()
    reader = Reader(kept)
    for chunk in chunks:
        reader.feed(chunk)
    reader.close()
    return kept, reader


@pytest.mark.parametrize("method", ["zip32", "zip64", "store32", "store64"])
@pytest.mark.parametrize("step", [1, 7, 1000, 1_000_000])
def test_every_form_of_an_export_is_read_whatever_pieces_it_comes_in(method: str, step: int) -> None:
    archive = archive_of(FILES, method)
    kept, reader = fed(archive[at : at + step] for at in range(0, len(archive), step))
    assert kept.files == FILES
    assert kept.ended == list(FILES)
    assert kept.times == [WHEN.timestamp()] * 3
    assert (reader.files, reader.text_bytes) == (3, sum(map(len, FILES.values())))


def test_an_empty_archive_is_whole() -> None:
    assert fed([archive_of({})])[1].files == 0


def test_the_report_of_what_was_skipped_is_read() -> None:
    report = json.dumps([{"name": "x.jsonl", "reason": "Not a regular file."}]).encode()
    _, reader = fed([archive_of({"a.jsonl": b"x", "_skipped.json": report})])
    assert (reader.files, reader.skipped) == (1, [Skipped("x.jsonl", "Not a regular file.")])


@pytest.mark.parametrize("report", [b"", b"[", b"[1]", b'[{"name": "x"}]', b'{"a": 1}', b"\xff"])
def test_a_report_that_is_none_is_damage_and_an_empty_one_too(report: bytes) -> None:
    with pytest.raises(Damaged, match=r"_skipped\.json"):
        fed([archive_of({"a.jsonl": b"x", "_skipped.json": report})])


@pytest.mark.parametrize("with_manifest", [False, True])
@pytest.mark.parametrize("method", ["zip32", "zip64", "store32", "store64"])
def test_an_archive_that_is_cut_anywhere_is_damaged(method: str, with_manifest: bool) -> None:
    files = {"a.jsonl": b"abc", "d/b.jsonl": b"def" * 9}
    archive = archive_of(manifested(files) if with_manifest else files, method)
    for length in range(len(archive)):
        with pytest.raises(Damaged):
            fed([archive[:length]])


@pytest.mark.parametrize("method", ["zip32", "zip64", "store32", "store64"])
def test_a_changed_byte_is_damage_or_changes_no_name_and_no_text(method: str) -> None:
    """Times, versions and attributes have no checksum in a ZIP."""
    files = {"a.jsonl": b"abc" * 30, "b.jsonl": random.Random(2).randbytes(50)}
    archive = archive_of(files, method)
    noticed = 0
    for at in range(len(archive)):
        for change in (0x01, 0x80, 0xFF):
            changed = bytearray(archive)
            changed[at] ^= change
            try:
                kept, _ = fed([bytes(changed)])
            except Damaged:
                noticed += 1
            else:
                assert kept.files == files, at
    assert noticed > len(archive)


def test_bytes_behind_the_end_are_damage() -> None:
    with pytest.raises(Damaged):
        fed([archive_of(FILES) + b"\n"])


def test_a_central_directory_of_other_members_is_damage() -> None:
    """Where the members themselves are as good as can be."""
    first, second = archive_of({"a.jsonl": b"abc"}), archive_of({"a.jsonl": b"abd"})
    with pytest.raises(Damaged, match="central directory"):
        fed([first[: first.index(b"PK\x01\x02")] + second[second.index(b"PK\x01\x02") :]])


@pytest.mark.parametrize(
    "name",
    ["../a.jsonl", "./a.jsonl", "/etc/a.jsonl", "d/e/a.jsonl", "d//a.jsonl", "d/../a.jsonl", "d\\a.jsonl",
     "d\n/a.jsonl", "..", ".", "", "a.jsonl/", "a.txt", "a.jsonl\n", "a\0.jsonl", "ä.jsonl",
     "x/../../_skipped.json", "d/_result.json"],
)  # fmt: skip
def test_a_member_that_no_export_holds_is_damage_before_anything_is_written(name: str) -> None:
    kept = Kept()
    with pytest.raises(Damaged, match="not the name of a session file"):
        Reader(kept).feed(archive_of({name: b"x"}))
    assert not kept.files


def test_two_members_of_one_name_are_damage() -> None:
    archive = archive_of_members([("a.jsonl", b"abc"), ("a.jsonl", b"def")])
    with pytest.raises(Damaged, match="same name"):
        fed([archive])


def test_an_archive_of_another_program_is_damage_not_a_crash() -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.jsonl", b"x" * 1000)
    with pytest.raises(Damaged, match="no export is"):
        fed([whole.getvalue()])


@pytest.mark.parametrize("text", [b"<html>sign in</html>" * 10, b"PK", b"", b"\0" * 100])
def test_what_is_no_archive_is_damage(text: bytes) -> None:
    with pytest.raises(Damaged):
        fed([text])
