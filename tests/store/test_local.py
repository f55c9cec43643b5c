"""Session files in a local directory."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from service.pools import Pool
from service.store import (
    LocalStore,
    NotFound,
    NotRegular,
    StoreUnavailable,
    Truncated,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "root" / "alice").mkdir(parents=True)
    (tmp_path / "canary.jsonl").write_text("canary")
    return tmp_path / "root" / "alice"


def test_an_open_file_stays_the_same_when_its_name_is_given_to_another(pool: Pool, folder: Path) -> None:
    (folder / "a.jsonl").write_text("first")
    file = LocalStore(folder.parent, pool).user_files(("alice",)).open("a.jsonl")
    (folder / "a.jsonl").unlink()
    (folder / "a.jsonl").symlink_to("../../canary.jsonl")
    assert file.read_at(0, file.size) == b"first"
    file.close()
    file.close()


def test_a_link_for_a_directory_that_is_deleted_while_it_is_read_is_no_directory(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "alice").symlink_to("there")
    readlink = os.readlink

    def late(path: str) -> str:
        (tmp_path / "alice").unlink()
        return readlink(path)

    monkeypatch.setattr(os, "readlink", late)
    assert not LocalStore(tmp_path, pool).user_files(("alice",)).exists


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES])
def test_a_link_to_a_directory_that_cannot_be_opened_is_a_failure_and_no_missing_directory(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "alice").symlink_to("there")
    opened = os.open

    def refuse(path: Any, *args: Any, **kwargs: Any) -> int:
        if path == "there":
            raise OSError(number, "refused")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    store = LocalStore(tmp_path, pool)
    with pytest.raises(StoreUnavailable):
        store.user_files(("alice",))
    assert store.directories() == ["alice", "there"]


def test_a_directory_that_is_swapped_for_a_link_is_not_followed(pool: Pool, folder: Path) -> None:
    (folder / "a.jsonl").write_text("mine")
    opened = LocalStore(folder.parent, pool).user_files(("alice",))
    folder.rename(folder.with_name("moved"))
    folder.symlink_to("../..")
    file = opened.open("a.jsonl")
    assert file.read_at(0, 4) == b"mine"
    file.close()
    opened.close()
    assert not LocalStore(folder.parent, pool).user_files(("alice",)).exists


def test_opening_does_not_block_on_a_fifo(pool: Pool, folder: Path) -> None:
    os.mkfifo(folder / "f.jsonl")
    opened = LocalStore(folder.parent, pool).user_files(("alice",))
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


def test_a_fifo_that_takes_the_files_place_after_the_first_stat_is_rejected(
    pool: Pool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "f.jsonl").write_text("x")
    opened = LocalStore(folder.parent, pool).user_files(("alice",))
    real_stat = os.stat

    def swapped(*arguments: object, **keywords: object) -> os.stat_result:
        status = real_stat(*arguments, **keywords)  # type: ignore[arg-type]
        (folder / "f.jsonl").unlink()
        os.mkfifo(folder / "f.jsonl")
        return status

    monkeypatch.setattr("service.store.local.os.stat", swapped)
    with pytest.raises(NotRegular):
        opened.open("f.jsonl")


def test_a_rejected_file_leaves_no_descriptor(pool: Pool, folder: Path) -> None:
    (folder / "d.jsonl").mkdir()
    (folder / "l.jsonl").symlink_to("d.jsonl")
    store = LocalStore(folder.parent, pool)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        opened = store.user_files(("alice", "nobody"))
        for name in ("d.jsonl", "l.jsonl", "none.jsonl"):
            with pytest.raises((NotRegular, NotFound)):
                opened.open(name)
        opened.close()
        opened.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_missing_root_is_not_a_missing_user(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        LocalStore(tmp_path / "none", pool).user_files(("alice",))
    with pytest.raises(StoreUnavailable):
        LocalStore(tmp_path / "none", pool).check()


def test_running_out_of_descriptors_does_not_blame_the_file(
    pool: Pool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.jsonl").write_text("x")
    opened = LocalStore(folder.parent, pool).user_files(("alice",))

    def fail(*_: object, **__: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("service.store.local.os.open", fail)
    with pytest.raises(StoreUnavailable):
        opened.open("a.jsonl")


def test_a_name_that_one_directory_rejects_and_another_has_is_not_skipped(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "a" / "s.jsonl").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "s.jsonl").write_text("x")
    opened = LocalStore(tmp_path, pool).user_files(("a", "b"))
    listing = opened.list()
    assert (listing.names, listing.skipped) == (["s.jsonl"], ())
    opened.close()


def test_a_file_keeps_its_identity_while_it_grows_and_loses_it_when_it_is_replaced(pool: Pool, folder: Path) -> None:
    store = LocalStore(folder.parent, pool)

    def identity() -> bytes:
        opened = store.user_files(("alice",))
        (found,) = opened.list().identities
        opened.close()
        return found

    (folder / "a.jsonl").write_text("first\n")
    first = identity()
    with (folder / "a.jsonl").open("a") as file:
        file.write("second\n")
    assert identity() == first
    (folder / "b").write_text("other")
    (folder / "b").rename(folder / "a.jsonl")
    assert identity() != first


def test_directories_are_those_that_users_can_have(pool: Pool, folder: Path) -> None:
    root = folder.parent
    (root / "bob").symlink_to("alice")
    (root / "out").symlink_to("/")
    (root / "gone").symlink_to("none")
    (root / "file").write_text("x")
    store = LocalStore(root, pool)
    assert store.directories() == ["alice", "bob"]
    assert all(
        store.user_files((name,)).exists == (name in ("alice", "bob"))
        for name in ("alice", "bob", "out", "gone", "file")
    )
    with pytest.raises(StoreUnavailable):
        LocalStore(root / "none", pool).directories()


async def test_chunks_of_a_file_that_was_cut_short_are_truncated(pool: Pool, folder: Path) -> None:
    (folder / "a.jsonl").write_bytes(bytes(3_000_000))
    file = LocalStore(folder.parent, pool).user_files(("alice",)).open("a.jsonl")
    os.truncate(folder / "a.jsonl", 1_500_000)
    with pytest.raises(Truncated):
        async for _ in file.chunks(range(file.size)):
            pass
    file.close()
