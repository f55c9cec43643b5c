"""What is kept of a broken transfer, and by whom it is taken up."""

import os
from pathlib import Path

import pytest

from service.client.errors import CannotSave
from service.client.partial_file import PartialFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "a.zip"


def names(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.iterdir())


def kept(path: Path) -> tuple[str, int]:
    """The tag and the size of the partial file that the next transfer would resume."""
    partial = PartialFile(path)
    partial.close()
    return partial.tag, partial.size


def begun(path: Path, tag: str, data: bytes) -> PartialFile:
    partial = PartialFile(path)
    partial.restart(tag)
    partial.write(data)
    return partial


def test_what_was_written_is_taken_up_with_its_tag_and_finished(path: Path) -> None:
    begun(path, "v1", b"abc").close()
    again = PartialFile(path)
    assert (again.tag, again.size, again.read_at(1, 10)) == ("v1", 3, b"bc")
    again.write(b"de")
    assert not path.exists()
    again.finish()
    assert (names(path), path.read_bytes(), path.stat().st_mode & 0o777) == (["a.zip"], b"abcde", 0o600)


def test_another_version_begins_anew(path: Path) -> None:
    begun(path, "v1", b"abc").close()
    again = PartialFile(path)
    again.restart("v2")
    assert (again.tag, again.size, again.read_at(0, 10)) == ("v2", 0, b"")
    again.close()
    assert kept(path) == ("v2", 0)


@pytest.mark.parametrize("tag", ["", "a/b", "a~b", "x" * 121, "ü"])
def test_what_has_no_tag_for_a_file_name_is_not_kept(path: Path, tag: str) -> None:
    begun(path, tag, b"abc").close()
    assert names(path) == []


def test_partial_files_of_other_names_and_links_are_not_taken_up(path: Path) -> None:
    path.parent.mkdir()
    (path.parent / ".b.zip~v1.part").write_bytes(b"another's")
    (path.parent / ".a.zip~v 1.part").write_bytes(b"no tag")
    assert kept(path) == ("", 0)
    (path.parent / "target").write_bytes(b"keep")
    (path.parent / ".a.zip~v1.part").symlink_to("target")
    with pytest.raises(CannotSave):
        PartialFile(path)
    assert (path.parent / "target").read_bytes() == b"keep"


def test_two_processes_do_not_write_the_same_file(path: Path) -> None:
    first = begun(path, "v1", b"abc")
    with pytest.raises(CannotSave, match="another process is saving it"):
        PartialFile(path)
    first.write(b"d")
    first.close()
    assert kept(path) == ("v1", 4)


def test_names_that_are_too_long_for_a_suffix_stay_apart(tmp_path: Path) -> None:
    paths = [tmp_path / f"{'x' * 250}{number}" for number in range(2)]
    for number, path in enumerate(paths):
        begun(path, "t" * 120, bytes(number + 1)).close()
    assert [kept(path)[1] for path in paths] == [1, 2]
    assert all(len(os.fsencode(path.name)) <= 255 for path in tmp_path.iterdir())
