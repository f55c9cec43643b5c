"""A row comes out of both engines as its dataclass."""

from dataclasses import dataclass
from datetime import UTC, datetime

from service.catalog import Database
from service.catalog.shape import Shape
from tests.engines import both_engines


@dataclass
class Made:
    name: str
    number: int | None
    began: datetime
    ended: datetime | None
    params: object


STORED = """
    SELECT 'ü' AS name, NULL AS number, CAST('2026-10-01 14:00:00.000001+02' AS TIMESTAMPTZ) AS began,
           CAST(NULL AS TIMESTAMP) AS ended, CAST('{"a": [1, null]}' AS JSON) AS params
"""


@both_engines
async def test_times_are_aware_and_json_is_decoded(database: Database) -> None:
    shape = Shape(Made, ("params",))
    (row,) = await database.query(f"SELECT {shape.columns} FROM (SELECT {shape.stored} FROM ({STORED}) AS a) AS b")
    began = datetime(2026, 10, 1, 12, 0, 0, 1, tzinfo=UTC)
    assert shape.decode(row) == Made("ü", None, began, None, {"a": [1, None]})
