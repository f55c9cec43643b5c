"""Which directories of the store are a user's, and when they have changed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.catalog import User, Users
from service.pools import Pool
from service.sessions.folders import Folders, batches
from service.store import LocalStore
from tests.catalog.opened import opened

ANN, BOB = User("u-1", "ann@example.com", None), User("u-2", "bob@example.com", None)


@pytest.fixture
async def folders(tmp_path: Path) -> AsyncIterator[Folders]:
    database, pool = await opened(str(tmp_path / "catalog.duckdb")), Pool("files", 1)
    users = Users(database)
    await users.add([BOB, ANN])
    for name in ("ann/a.jsonl", "u-1/b.jsonl", "bob/c.jsonl", "nobody/d.jsonl"):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    store = LocalStore(tmp_path / "root", pool)
    yield Folders(users, store, ("{email_local}", "{user_id}"))
    store.close()
    pool.close()
    database.close()


async def test_users_are_all_or_those_with_the_ids_and_sorted(folders: Folders) -> None:
    assert await folders.users() == [ANN, BOB]
    assert await folders.users(["u-2", "none"]) == [BOB]


def test_a_user_has_the_files_of_all_of_their_directories_and_no_others(folders: Folders) -> None:
    assert folders.names(ANN) == ("ann", "u-1")
    assert folders.list(ANN).names == ["a.jsonl", "b.jsonl"]
    assert [listing.names for listing in folders.list_all([BOB, ANN])] == [["c.jsonl"], ["a.jsonl", "b.jsonl"]]
    assert [listing.names for listing in folders.list_directories(["nobody"])] == [["d.jsonl"]]
    assert sorted(folders.directories()) == ["ann", "bob", "nobody", "u-1"]


def test_files_that_were_not_processed_are_the_users_own(folders: Folders) -> None:
    files = folders.open(ANN)
    assert folders.unprocessed(ANN, files, frozenset({"a.jsonl", "c.jsonl"})) == {"b.jsonl"}
    files.close()


def test_the_items_are_cut_into_slices() -> None:
    assert [list(batch) for batch in batches(range(5), 2)] == [[0, 1], [2, 3], [4]]
    assert list(batches([], 2)) == []
