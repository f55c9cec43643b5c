"""Cursors: the position at which the next page of a list begins, as an opaque text.

A cursor is valid only for its query, and has a digest that detects changes. It is not a secret, and gives access to
nothing that the query itself does not.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from service.http.query import Query, WholeNumber

DIGEST = 12  # bytes


class CursorQuery(Query):
    """At most `limit` rows, after the position of the cursor."""

    limit: WholeNumber = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=4000)

    def place(self, query: Mapping[str, object], *types: type) -> list[Any] | None:
        """The position at which the page begins, as passed to `new_cursor`. Raises ValidationError unless the cursor is
        one of this query.

        `types` are those of the position's values. A forged cursor with a valid digest only leads to another position.
        """
        if self.cursor is None:
            return None
        try:
            data = base64.urlsafe_b64decode(self.cursor.encode())
            digest, payload = data[:DIGEST], data[DIGEST:]
            place: list[Any] = json.loads(payload)
        except ValueError:  # the base class of the errors of base64, UTF-8 and JSON
            raise self._refusal() from None
        fits = isinstance(place, list) and [type(value) for value in place] == list(types)
        if not fits or digest != _digest(payload, query) or any(_is_too_large(value) for value in place):
            raise self._refusal()
        return place

    def _refusal(self) -> ValidationError:
        wrong = PydanticCustomError("cursor", "Not a cursor that this query gave")
        return ValidationError.from_exception_data(
            "cursor", [InitErrorDetails(type=wrong, loc=("cursor",), input=self.cursor)]
        )


def new_cursor(place: Sequence[object], query: Mapping[str, object]) -> str:
    """The cursor for a position in the rows of a query. Both arguments must be serializable as JSON."""
    payload = json.dumps(place, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_digest(payload, query) + payload).decode()


def _digest(payload: bytes, query: Mapping[str, object]) -> bytes:
    bound = json.dumps(query, sort_keys=True).encode() + b"\0" + payload
    return hashlib.sha256(bound).digest()[:DIGEST]


def _is_too_large(value: object) -> bool:
    """Whether the value is too large for a column of the catalog, or for a time."""
    return isinstance(value, int) and abs(value) >= 2**62
