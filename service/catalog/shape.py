"""Rows as dataclasses. A dataclass declares the columns once: SQL and Python both take them from it."""

import dataclasses
import json
from datetime import datetime
from typing import Generic, TypeVar, get_args, get_type_hints

from service.catalog.database import Row, utc

T = TypeVar("T")

# Microseconds, exact on both engines, and the same whether a column has a time zone or not.
TIME = "CAST(round(extract(epoch FROM {0}) * 1000000) AS BIGINT) AS {0}"
JSON = "CAST({0} AS VARCHAR) AS {0}"


class Shape(Generic[T]):
    """How the columns of a table become a dataclass. Times become aware, in UTC; JSON is decoded."""

    def __init__(self, made: type[T], json_columns: tuple[str, ...] = ()) -> None:
        hints = get_type_hints(made)
        self._made = made
        self._json = json_columns
        self.names = [field.name for field in dataclasses.fields(made)]  # type: ignore[arg-type]
        self._times = [name for name in self.names if datetime in (hints[name], *get_args(hints[name]))]

    @property
    def columns(self) -> str:
        """The list after SELECT for rows that `decode` takes."""
        return ", ".join(self._expression(name) for name in self.names)

    @property
    def stored(self) -> str:
        """The same columns as they are stored, for a subquery that sorts and limits before anything is converted."""
        return ", ".join(self.names)

    def decode(self, row: Row) -> T:
        times = {name: utc(row[name]) for name in self._times}
        decoded = {name: None if row[name] is None else json.loads(row[name]) for name in self._json}
        return self._made(**(row | times | decoded))

    def _expression(self, name: str) -> str:
        return TIME.format(name) if name in self._times else JSON.format(name) if name in self._json else name
