"""Rows of the API's lists, typed. Times are aware, in UTC; sizes are bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

from service.client.errors import Damaged

Row = TypeVar("Row", "Session", "FoundSession", "User", "Activity", "Link")


@dataclass(frozen=True, slots=True)
class Session:
    """A session. `processed`: the service knows its content; `available`: its file exists."""

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
    title: str | None
    project: str | None
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundSession(Session):
    """A session with its user."""

    user_id: str
    email: str


@dataclass(frozen=True, slots=True)
class User:
    """A user, with the number and total bytes of their sessions."""

    user_id: str
    email: str
    name: str | None
    active: bool
    sessions: int
    size_bytes: int
    last_session_at: datetime | None


@dataclass(frozen=True, slots=True)
class Activity:
    """A row of the audit log. `user_id` is the user who did it."""

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


@dataclass(frozen=True, slots=True)
class Link:
    """A URL that needs no token, and when it expires. `id` identifies it in the audit log."""

    url: str
    expires_at: datetime
    id: str


TIMES = {"started_at", "ended_at", "timestamp", "last_session_at", "expires_at"}


def parse_row(kind: type[Row], row: Mapping[str, Any]) -> Row:
    """Parse the JSON of a row; fields that a newer server adds are ignored. Raises Damaged."""
    try:
        return kind(**{field.name: _parse_value(field.name, row[field.name]) for field in fields(kind)})
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"The server's answer has an invalid row: {error!r}.") from error


def _parse_value(name: str, value: Any) -> Any:
    if name in TIMES and value is not None:
        return datetime.fromisoformat(value)
    return tuple(value) if name == "models" else value
