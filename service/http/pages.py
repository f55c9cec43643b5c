"""Pages: what is asked of a list, and how a page of rows is answered."""

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from aiohttp import web
from pydantic import Field

from service.http.query import Query, WholeNumber


class PageQuery(Query):
    """Which rows: at most `limit`, after the first `offset`."""

    limit: WholeNumber = Field(50, ge=1, le=200)
    offset: WholeNumber = Field(0, ge=0, lt=2**63)


def page_response(rows: Sequence[Any], query: PageQuery, total: int) -> web.Response:
    """Rows, each a dataclass, with where they stand."""
    body = {
        "rows": [_fields(row) for row in rows],
        "pagination": {"limit": query.limit, "offset": query.offset, "total": total},
    }
    return web.json_response(body, dumps=lambda value: json.dumps(value, default=_plain))


def _fields(row: Any) -> dict[str, Any]:
    """Not `dataclasses.asdict`, which copies all there is below as well."""
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
