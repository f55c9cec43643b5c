"""Whatever is packed into a column comes out of the database as it was."""

import pytest

from service.catalog import Database
from service.catalog.columns import pack, unpack
from tests.engines import both_engines

VALUES = ["a", "", None, "ü", "a\x1fb", "\x1e", "\x1d", "\x1da\x1db", "\x1dd", "'\n\t\\N", "", None, "1"]


@both_engines
@pytest.mark.parametrize("values", [VALUES, [""], [None], ["a", ""], ["a", None]])
async def test_texts_come_out_as_they_went_in(database: Database, values: list[str | None]) -> None:
    rows = await database.query(f"SELECT {unpack(1, 'VARCHAR')} AS value", [pack(values)])
    assert [row["value"] for row in rows] == values


@both_engines
async def test_columns_side_by_side_are_rows_of_their_kinds(database: Database) -> None:
    sql = f"SELECT {unpack(1, 'BIGINT')} AS number, {unpack(2, 'BOOLEAN')} AS flag"
    rows = await database.query(sql, [pack(["1", None, "-3"]), pack(["true", "false", None])])
    assert [(row["number"], row["flag"]) for row in rows] == [(1, True), (None, False), (-3, None)]
