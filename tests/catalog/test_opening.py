"""Which engine a URL opens, and what becomes of the pool if none can be opened."""

import sys
from pathlib import Path

import pytest

from service.catalog import CatalogUnusable, open_catalog
from service.catalog.duckdb import DuckdbDatabase
from service.config import Catalog
from service.pools import Pool


@pytest.mark.parametrize("scheme", ["", "duckdb:///"])
async def test_a_path_opens_a_file_of_duckdb(tmp_path: Path, scheme: str) -> None:
    database = await open_catalog(Catalog(url=f"{scheme}{tmp_path}/c.duckdb"), Pool("catalog", 1))
    assert isinstance(database, DuckdbDatabase)
    assert (tmp_path / "c.duckdb").is_file()
    database.close()


async def test_a_missing_package_stops_the_start_and_is_named_without_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "service.catalog.postgres", None)
    pool = Pool("catalog", 1)
    with pytest.raises(CatalogUnusable, match=r"pip install 'session-export\[postgres\]'") as raised:
        await open_catalog(Catalog(url="postgresql://user:secret@db.example/catalog"), pool)
    assert "db.example" in str(raised.value)
    assert "secret" not in str(raised.value)
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.run(int)
