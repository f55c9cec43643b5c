"""The query parameters that select sessions, for every list and export that has them."""

from dataclasses import replace
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from service.http.query import Flag, Moment, Query, SearchText, Text
from service.sessions import Selection
from service.store import SESSION_FILE

MOST = 200  # values of a parameter that may be repeated


def _session_file(name: str) -> str:
    if not SESSION_FILE.fullmatch(name):
        raise PydanticCustomError("session_file", "Input should be the name of a session file")
    return name


def _reject(values: tuple[str, ...]) -> tuple[str, ...]:
    """Reject a parameter of the other kind of selection: ignoring it would return more than was asked for."""
    raise PydanticCustomError("not_here", "This cannot be selected by here")


class SelectionQuery(Query):
    """The parameters of both kinds of selection."""

    since: Moment | None = None
    until: Moment | None = None
    model: tuple[Text, ...] = Field((), max_length=MOST)
    errors: Flag = False
    q: SearchText | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since and self.until and self.since > self.until:
            raise PydanticCustomError("since_after_until", "since should not be after until")
        return self

    def selection(self) -> Selection:
        return Selection(since=self.since, until=self.until, models=self.model, errors=self.errors, q=self.q)


class OneUsersSelectionQuery(SelectionQuery):
    """Selects from the sessions of one user."""

    session_file: tuple[Annotated[Text, AfterValidator(_session_file)], ...] = Field((), max_length=MOST)
    user_id: Annotated[tuple[str, ...], AfterValidator(_reject)] = ()

    def selection(self) -> Selection:
        return replace(super().selection(), session_files=self.session_file)


class AcrossUsersSelectionQuery(SelectionQuery):
    """Selects from the sessions of all users."""

    user_id: tuple[Text, ...] = Field((), max_length=MOST)
    session_file: Annotated[tuple[str, ...], AfterValidator(_reject)] = ()

    def selection(self) -> Selection:
        return replace(super().selection(), user_ids=self.user_id)
