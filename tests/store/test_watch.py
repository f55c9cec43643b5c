"""What changes in directories, as the kernel tells it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.pools import Pool
from service.store import LocalStore
from service.store import watch as module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    (path / "alice").mkdir(parents=True)
    (path / "alice" / "a.jsonl").write_text("{}")
    return path


@pytest.fixture
def store(root: Path) -> Iterator[LocalStore]:
    pool = Pool("files", 1)
    store = LocalStore(root, pool)
    if store.state("alice") is None:
        pytest.skip("changes on this file system are not watched")
    yield store
    store.close()
    pool.close()


def append(root: Path) -> None:
    with (root / "alice" / "a.jsonl").open("a") as file:
        file.write("{}")


def replace_file(root: Path) -> None:
    (root / "a.jsonl").touch()
    (root / "a.jsonl").rename(root / "alice" / "a.jsonl")


def replace_directory(root: Path) -> None:
    (root / "alice").rename(root / "old")
    (root / "alice").mkdir()


def replace_root(root: Path) -> None:
    root.rename(root.with_name("moved"))
    (root / "alice").mkdir(parents=True)


CHANGES: list[Callable[[Path], object]] = [
    append,
    lambda root: (root / "alice" / "b.jsonl").touch(),
    lambda root: (root / "alice" / "a.jsonl").unlink(),
    lambda root: (root / "alice" / "a.jsonl").rename(root / "alice" / "b.jsonl"),
    replace_file,
    lambda root: os.utime(root / "alice" / "a.jsonl", (1, 1)),
    lambda root: os.truncate(root / "alice" / "a.jsonl", 0),
    lambda root: shutil.rmtree(root / "alice"),
    replace_directory,
    replace_root,
]


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_makes_another_state(root: Path, store: LocalStore, change: Callable[[Path], object]) -> None:
    before = store.state("alice")
    assert store.state("alice") == before
    change(root)
    after = store.state("alice")
    assert after != before
    assert after is not None
    assert store.state("alice") == after


def test_what_is_new_is_watched_too(root: Path, store: LocalStore) -> None:
    missing = store.state("bob")
    assert missing == store.state("bob")
    (root / "bob").mkdir()
    empty = store.state("bob")
    (root / "bob" / "b.jsonl").touch()
    assert len({missing, empty, store.state("bob")}) == 3


def test_changes_elsewhere_make_no_difference(root: Path, store: LocalStore) -> None:
    before = store.state("alice")
    (root / "bob").mkdir()
    (root / "bob" / "b.jsonl").touch()
    (root / "alice" / "a.jsonl").read_text()
    assert store.state("alice") == before


def test_a_directory_with_two_names_changes_under_both(root: Path, store: LocalStore) -> None:
    (root / "team").symlink_to("alice")
    before = store.state("alice"), store.state("team")
    append(root)
    assert store.state("alice") != before[0]
    assert store.state("team") != before[1]
    (root / "team").unlink()
    again = store.state("alice")
    append(root)
    assert store.state("alice") != again


def test_too_many_changes_to_be_told_are_a_change(root: Path, store: LocalStore) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    (root / "bob").mkdir()
    before = store.state("alice"), store.state("bob")
    for number in range(limit // 2 + 1):  # two changes each, so that none is told as one with that before it
        os.utime(root / "alice" / "a.jsonl", (number, number))
        os.close(os.open(root / "alice" / f"{number % 2}.jsonl", os.O_CREAT | os.O_TRUNC))
        (root / "alice" / f"{number % 2}.jsonl").unlink()
    assert store.state("alice") != before[0]
    assert store.state("bob") != before[1]


def test_what_cannot_be_watched_cannot_be_told(root: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "LOCAL", set())
        pool = Pool("files", 1)
        assert LocalStore(root, pool).state("alice") is None
        pool.close()
    shutil.rmtree(root)
    assert store.state("alice") is None
