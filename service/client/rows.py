"""Rows of the API's lists, typed. Times are aware, in UTC; sizes are bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

from service.client.errors import Damaged

Row = TypeVar("Row", "Session", "Activity")


@dataclass(frozen=True, slots=True)
class Session:
    """A session. `processed`: the catalog knows it; `available`: its file exists."""

    session_file: str
    session_id: str
    started_at: datetime | None
    ended_at: datetime | None
    active_seconds: int | None
    wall_seconds: int | None
    tool_calls: int | None
    tool_errors: int | None
    primary_model: str | None
    processed: bool
    size_bytes: int | None
    available: bool


@dataclass(frozen=True, slots=True)
class Activity:
    """A row of the audit log."""

    id: str
    timestamp: datetime
    user_id: str | None
    action: str
    resource: str | None
    params: Any
    result: str | None
    duration_ms: int | None
    params_before: Any
    client_ip: str | None
    client_kind: str | None
    correlation_id: str | None


TIMES = {"started_at", "ended_at", "timestamp"}


def parse_row(kind: type[Row], row: Mapping[str, Any]) -> Row:
    """Parse the JSON of a row; fields that a newer server adds are ignored. Raises Damaged."""
    try:
        return kind(**{field.name: _value(field.name, row[field.name]) for field in fields(kind)})
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"The server's answer has a row that is none: {error!r}.") from error


def _value(name: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if name in TIMES and value is not None else value
