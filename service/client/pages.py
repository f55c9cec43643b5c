"""Reads the API's paged lists."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from service.client.connection import Connection, Params
from service.client.errors import Damaged
from service.client.responses import read_json
from service.client.rows import Row, parse_row

PAGE = 200  # rows; the most that the API gives at once


async def read_pages(
    connection: Connection, kind: type[Row], path: str, key: str, params: Params = ()
) -> AsyncGenerator[Row, None]:
    """All rows of a list that is paged by offset, without repeated values of `key`."""
    offset, seen = 0, set[str]()
    while True:
        page = await _read_page(connection, path, [*params, ("offset", str(offset))], "pagination")
        for row in page["rows"]:
            if row.get(key) not in seen:  # a row added meanwhile moves another one to the next page
                seen.add(row.get(key))
                yield parse_row(kind, row)
        offset += len(page["rows"])
        if not page["rows"] or offset >= page["pagination"]["total"]:
            return


async def read_by_cursor(
    connection: Connection, kind: type[Row], path: str, params: Params
) -> AsyncGenerator[Row, None]:
    """All rows of a list that is paged by cursor, in which no row is repeated or skipped."""
    cursor: Params = ()
    while True:
        page = await _read_page(connection, path, [*params, *cursor], "next")
        for row in page["rows"]:
            yield parse_row(kind, row)
        if page["next"] is None:
            return
        cursor = [("cursor", str(page["next"]))]


async def _read_page(connection: Connection, path: str, params: Params, member: str) -> Any:
    """A page of a list; `member` is the name of the JSON member that it has beside `rows`."""
    page = await connection.retry(partial(_request_page, connection, path, [*params, ("limit", str(PAGE))]))
    if not isinstance(page, dict) or not {"rows", member} <= page.keys():
        raise Damaged("The server's answer is not a page of rows: is the URL that of Session Export?")
    return page


async def _request_page(connection: Connection, path: str, params: Params) -> Any:
    async with connection.get(path, params=params) as response:
        return await read_json(response)
