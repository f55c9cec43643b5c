"""Cursors: where the next page of a list begins, as an opaque text.

A cursor belongs to its query, and shows when it was changed. It is no secret, and grants nothing that its query does
not.
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
    """At most `limit` rows, after the place that a cursor stands for."""

    limit: WholeNumber = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=4000)

    def place(self, query: Mapping[str, object], *types: type) -> list[Any] | None:
        """Where the page begins, as `new_cursor` got it. Raises ValidationError for what is no cursor of this query.

        `types` are those of a place. Whoever makes up a cursor with a digest gets no further than to another place.
        """
        if self.cursor is None:
            return None
        try:
            data = base64.urlsafe_b64decode(self.cursor.encode())
            digest, payload = data[:DIGEST], data[DIGEST:]
            place: list[Any] = json.loads(payload)
        except ValueError:  # base64's, UTF-8's and JSON's are kinds of it
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
    """The cursor of a place in the rows of a query. Both consist of what JSON has."""
    payload = json.dumps(place, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_digest(payload, query) + payload).decode()


def _digest(payload: bytes, query: Mapping[str, object]) -> bytes:
    bound = json.dumps(query, sort_keys=True).encode() + b"\0" + payload
    return hashlib.sha256(bound).digest()[:DIGEST]


def _is_too_large(value: object) -> bool:
    """For a column of the catalog, or a time."""
    return isinstance(value, int) and abs(value) >= 2**62
