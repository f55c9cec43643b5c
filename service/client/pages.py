"""Lists that the API answers in pages."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from service.client.connection import Connection
from service.client.errors import Damaged
from service.client.responses import read_json
from service.client.rows import Row, parse_row

PAGE = 200  # rows; the most that the API gives at once


async def read_pages(connection: Connection, kind: type[Row], path: str, key: str) -> AsyncGenerator[Row, None]:
    """All rows of a list that is paged by offset, each `key` once."""
    offset, seen = 0, set[str]()
    while True:
        page = await connection.retry(partial(_read_page, connection, path, offset))
        for row in page["rows"]:
            if row.get(key) not in seen:  # a row that is new meanwhile pushes another one onto the next page
                seen.add(row.get(key))
                yield parse_row(kind, row)
        offset += len(page["rows"])
        if not page["rows"] or offset >= page["pagination"]["total"]:
            return


async def _read_page(connection: Connection, path: str, offset: int) -> Any:
    async with connection.get(path, params=[("limit", str(PAGE)), ("offset", str(offset))]) as response:
        page = await read_json(response)
    if not isinstance(page, dict) or not {"rows", "pagination"} <= page.keys():
        raise Damaged("The server's answer is not a page of rows: is the URL that of Session Export?")
    return page
