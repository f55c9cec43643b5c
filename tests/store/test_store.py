"""The one door to a file, and the layouts."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store import InvalidName, LocalStore, NotFound, NotRegular, StoreUnavailable, Truncated, user_directories
from service.store.layout import checked_layout

LAYOUTS = ("{email_local}", "{user_id}")


@given(st.text(), st.text())
def test_a_users_directory_is_always_one_plain_name(user_id: str, email: str) -> None:
    for name in user_directories((*LAYOUTS, "{email}", "x-{email_local}"), user_id, email):
        assert name not in ("", ".", "..")
        assert not set(name) & {"/", "\\", "\0", "\n"}
        assert Path("root", name).resolve().parent == Path("root").resolve()


@pytest.mark.parametrize(
    ("user_id", "email", "expected"),
    [
        ("u", "alice@example.com", ("alice", "u")),
        ("u", "a@b@example.com", ("a@b", "u")),
        ("u", "dave", ("dave", "u")),
        ("u", "", ("u",)),
        ("u", "@x", ("u",)),
        ("u", "..@x", ("u",)),
        ("u", ".@x", ("u",)),
        ("u", "a/b@x", ("u",)),
        ("..", "../../etc@x", ()),
        ("u\0", "a\x1fb@x", ()),
        ("same", "same@x", ("same",)),
    ],
)
def test_layouts(user_id: str, email: str, expected: tuple[str, ...]) -> None:
    assert user_directories(LAYOUTS, user_id, email) == expected


def test_a_layout_with_more_around_an_empty_value_is_no_directory() -> None:
    """Else everybody without a local part would share `x-`."""
    assert user_directories(("x-{email_local}",), "u", "@x") == ()


@pytest.mark.parametrize(
    "template", ["", "all", "{email_local}/x", "../{user_id}", "{name}", "{user_id", "{user_id!r}"]
)
def test_a_layout_that_is_not_one_directory_a_user_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="a directory name with"):
        checked_layout(template)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "root" / "alice").mkdir(parents=True)
    (tmp_path / "canary.jsonl").write_text("canary")
    return tmp_path / "root" / "alice"


def test_what_was_opened_is_what_is_read(folder: Path) -> None:
    """The name is given to something else after the door: the open file does not change."""
    (folder / "a.jsonl").write_text("first")
    file = LocalStore(folder.parent).user_files(("alice",)).open("a.jsonl")
    (folder / "a.jsonl").unlink()
    (folder / "a.jsonl").symlink_to("../../canary.jsonl")
    assert file.read_at(0, file.size) == b"first"
    file.close()
    file.close()


def test_a_link_for_a_directory_that_goes_while_it_is_read_is_no_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "alice").symlink_to("there")
    readlink = os.readlink

    def late(path: str) -> str:
        (tmp_path / "alice").unlink()
        return readlink(path)

    monkeypatch.setattr(os, "readlink", late)
    assert not LocalStore(tmp_path).user_files(("alice",)).exists


def test_a_directory_that_is_swapped_for_a_link_is_not_followed(folder: Path) -> None:
    (folder / "a.jsonl").write_text("mine")
    opened = LocalStore(folder.parent).user_files(("alice",))
    folder.rename(folder.with_name("moved"))
    folder.symlink_to("../..")
    file = opened.open("a.jsonl")
    assert file.read_at(0, 4) == b"mine"
    file.close()
    opened.close()
    assert not LocalStore(folder.parent).user_files(("alice",)).exists


def test_opening_does_not_block_on_a_fifo(folder: Path) -> None:
    os.mkfifo(folder / "f.jsonl")
    opened = LocalStore(folder.parent).user_files(("alice",))
    failures: list[Exception] = []

    def attempt() -> None:
        try:
            opened.open("f.jsonl")
        except NotRegular as error:
            failures.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(10)
    assert len(failures) == 1


def test_a_fifo_that_takes_the_files_place_behind_the_first_look_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "f.jsonl").write_text("x")
    opened = LocalStore(folder.parent).user_files(("alice",))
    look = os.stat

    def swapped(*arguments: object, **keywords: object) -> os.stat_result:
        status = look(*arguments, **keywords)  # type: ignore[arg-type]
        (folder / "f.jsonl").unlink()
        os.mkfifo(folder / "f.jsonl")
        return status

    monkeypatch.setattr("service.store.local.os.stat", swapped)
    with pytest.raises(NotRegular):
        opened.open("f.jsonl")


@pytest.mark.parametrize("name", ["", ".", "..", "../canary.jsonl", "a/b.jsonl", "a.jsonl\n", "a\0.jsonl", "é.jsonl"])
def test_the_door_checks_the_name_itself(folder: Path, name: str) -> None:
    opened = LocalStore(folder.parent).user_files(("alice",))
    with pytest.raises(InvalidName):
        opened.open(name)
    assert opened.look(name) is None


def test_a_refused_file_leaves_no_descriptor(folder: Path) -> None:
    (folder / "d.jsonl").mkdir()
    (folder / "l.jsonl").symlink_to("d.jsonl")
    store = LocalStore(folder.parent)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        opened = store.user_files(("alice", "nobody"))
        for name in ("d.jsonl", "l.jsonl", "none.jsonl"):
            with pytest.raises((NotRegular, NotFound)):
                opened.open(name)
        opened.close()
        opened.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_shorter_than_expected_is_truncated(folder: Path) -> None:
    (folder / "a.jsonl").write_text("12345")
    file = LocalStore(folder.parent).user_files(("alice",)).open("a.jsonl")
    assert file.read_at(1, 4) == b"2345"
    with pytest.raises(Truncated):
        file.read_at(1, 5)
    file.close()


def test_a_missing_root_is_no_missing_user(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        LocalStore(tmp_path / "none").user_files(("alice",))
    with pytest.raises(StoreUnavailable):
        LocalStore(tmp_path / "none").check()


def test_running_out_of_descriptors_does_not_blame_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.jsonl").write_text("x")
    opened = LocalStore(folder.parent).user_files(("alice",))

    def fail(*_: object, **__: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("service.store.local.os.open", fail)
    with pytest.raises(StoreUnavailable):
        opened.open("a.jsonl")
