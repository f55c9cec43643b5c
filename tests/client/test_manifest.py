"""An archive's manifest, compared with what the archive holds."""

import json
from typing import Any

import pytest

from service.client import Damaged
from service.client.manifest import Findings, Skipped
from service.client.reader import Reader
from tests.client.archives import archive_of, archive_of_members, line_of, manifested

FILES = {f"alice/{number}.jsonl": b'{"text": "hello"}\n' * number for number in range(5)} | {"%2E/x.jsonl": b"x"}


def read(files: dict[str, bytes]) -> Reader:
    reader = Reader()
    reader.feed(archive_of(files))
    reader.close()
    return reader


def findings_of(files: dict[str, bytes]) -> Findings:
    """Those of an archive that is not what its manifest lists."""
    reader = Reader()
    reader.feed(archive_of(files))
    with pytest.raises(Damaged, match="does not hold what its manifest lists"):
        reader.close()
    return reader.findings


def test_an_archive_that_holds_what_its_manifest_lists_is_whole() -> None:
    reader = read(manifested(FILES))
    assert (reader.files, reader.findings, reader.has_manifest) == (6, Findings(), True)


def test_an_archive_of_nothing_with_a_manifest_is_whole() -> None:
    assert read(manifested({})).files == 0


def test_files_that_were_skipped_or_being_written_are_told() -> None:
    lines = [line_of(name, data, still_written=number == 2) for number, (name, data) in enumerate(FILES.items())]
    reader = read(manifested(FILES, lines, {"skipped": [{"name": "bob/y.jsonl", "reason": "Not readable."}]}))
    assert reader.findings == Findings(still_written=["alice/2.jsonl"])
    assert reader.skipped == [Skipped("bob/y.jsonl", "Not readable.")]


def test_a_member_that_was_removed_is_missing() -> None:
    files = manifested(FILES)
    del files["alice/1.jsonl"], files["%2E/x.jsonl"]
    assert findings_of(files) == Findings(missing=["alice/1.jsonl", "%2E/x.jsonl"])


def test_a_member_that_was_replaced_is_changed() -> None:
    files = manifested(FILES)
    files["alice/1.jsonl"] = files["alice/1.jsonl"].replace(b"hello", b"hullo")
    files["alice/3.jsonl"] += b"\n"
    assert findings_of(files) == Findings(changed=["alice/1.jsonl", "alice/3.jsonl"])


@pytest.mark.parametrize("after", [0, 1, 6])
def test_a_member_that_was_added_is_not_listed(after: int) -> None:
    members = list(manifested(FILES).items())
    members.insert(after + 1, ("alice/new.jsonl", b"new"))
    assert findings_of(dict(members)) == Findings(unlisted=["alice/new.jsonl"])


def test_members_in_another_order_are_no_export() -> None:
    manifest, first, second, *rest = manifested(FILES).items()
    assert findings_of(dict([manifest, second, first, *rest])).missing == [second[0]]


def test_a_hundred_thousand_missing_members_are_found_in_one_pass() -> None:
    lines = [line_of(f"{number:06}.jsonl", b"") for number in range(100_000)]
    assert (
        len(findings_of(manifested({"100000.jsonl": b""}, [*lines, line_of("100000.jsonl", b"")])).missing) == 100_000
    )


@pytest.mark.parametrize(
    ("result", "word"),
    [
        ({"complete": False}, "not complete"),
        ({"complete": 1}, "not complete"),
        ({"format": 2}, "not complete"),
        ({"files": 7}, "not the one"),
        ({"bytes": 7}, "not the one"),
        ({"members_sha256": "0" * 64}, "not the one"),
        ({"skipped": None}, "cannot be read"),
        ({"skipped": [{"name": "x"}]}, "cannot be read"),
    ],
)
def test_a_result_that_does_not_fit_is_damage(result: dict[str, Any], word: str) -> None:
    with pytest.raises(Damaged, match=word):
        read(manifested(FILES, result=result))


@pytest.mark.parametrize(
    ("member", "text"),
    [
        ("_manifest.json", b"{"),
        ("_manifest.json", b"[]"),
        ("_manifest.json", b'{"format": 2}'),
        ("_manifest.json", b"[" * 100_000),
        ("_members.jsonl", b"{}\n"),
        ("_members.jsonl", b"\n"),
        ("_members.jsonl", b'{"name": "a", "size": "x", "sha256": ""}\n'),
        ("_members.jsonl", b'{"name": "a", "size": 1, "sha256": "x"}\n'),
        ("_members.jsonl", b"x" * 100_000),
        ("_result.json", b""),
        ("_result.json", b"null"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_damage(member: str, text: bytes) -> None:
    with pytest.raises(Damaged, match=member):
        read(manifested(FILES) | {member: text})


def test_a_line_without_its_end_is_damage() -> None:
    files = manifested({"a.jsonl": b"x"})
    files["_members.jsonl"] = files["_members.jsonl"].removesuffix(b"\n")
    with pytest.raises(Damaged, match=r"_members\.jsonl"):
        read(files)


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["_manifest.json", "a.jsonl"], r"no _result\.json"),
        (["_manifest.json", "a.jsonl", "_members.jsonl"], r"no _result\.json"),
        (["_manifest.json", "a.jsonl", "_result.json"], "'_result.json' at a place"),
        (["a.jsonl", "_manifest.json"], "'_manifest.json' at a place"),
        (["_manifest.json", "_manifest.json"], "'_manifest.json' at a place"),
        (["a.jsonl", "_result.json"], "'_result.json' at a place"),
        (["_manifest.json", "_members.jsonl", "a.jsonl"], "'a.jsonl' at a place"),
        (["_manifest.json", "_members.jsonl", "_result.json", "a.jsonl"], "'a.jsonl' at a place"),
        (["_manifest.json", "_skipped.json"], "'_skipped.json' at a place"),
        (["_skipped.json", "a.jsonl"], "'a.jsonl' at a place"),
    ],
)
def test_members_of_a_manifest_at_another_place_are_damage(names: list[str], word: str) -> None:
    empty = manifested({})
    reader = Reader()
    with pytest.raises(Damaged, match=word):
        reader.feed(
            archive_of_members((name, b"[]" if name == "_skipped.json" else empty.get(name, b"")) for name in names)
        )
        reader.close()


def test_without_a_manifest_a_session_may_have_the_name_of_its_list() -> None:
    reader = read({"_members.jsonl": b"{}\n", "a.jsonl": json.dumps({}).encode()})
    assert (reader.files, reader.has_manifest) == (2, False)
