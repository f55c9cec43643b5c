"""Pages of a list: the query parameters that choose a page, and the response with its rows."""

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
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
    pagination = {"limit": query.limit, "offset": query.offset, "total": total}
    return json_response({"rows": [fields_of(row) for row in rows], "pagination": pagination})


def cursor_response(rows: Sequence[Any], following: str | None, total: int) -> web.Response:
    """The same for a list with cursors; `following` is the cursor of the next page, if there is one."""
    return json_response({"rows": [fields_of(row) for row in rows], "next": following, "total": total})


def json_response(body: dict[str, Any], status: int = HTTPStatus.OK) -> web.Response:
    """Times are written in ISO 8601."""
    return web.json_response(body, status=status, dumps=lambda value: json.dumps(value, default=_json_value))


def fields_of(row: Any) -> dict[str, Any]:
    """The fields of a dataclass, like `dataclasses.asdict`, but without copying the values."""
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}


def _json_value(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON representation")
