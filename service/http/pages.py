"""Pages of a list: the query parameters that choose a page, and the response with its rows."""

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from aiohttp import web
from pydantic import Field

from service.http.query import Query, WholeNumber


class PageQuery(Query):
    """At most `limit` rows, after the first `offset`."""

    limit: WholeNumber = Field(50, ge=1, le=200)
    offset: WholeNumber = Field(0, ge=0, lt=2**63)


def page_response(rows: Sequence[Any], query: PageQuery, total: int) -> web.Response:
    """The page as JSON. Each row is a dataclass; its fields are the members of an object."""
    body = {
        "rows": [_fields(row) for row in rows],
        "pagination": {"limit": query.limit, "offset": query.offset, "total": total},
    }
    return web.json_response(body, dumps=lambda value: json.dumps(value, default=_json_value))


def _fields(row: Any) -> dict[str, Any]:
    """Unlike `dataclasses.asdict` without copying the values."""
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}


def _json_value(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON representation")
