"""The query parameters of a request, parsed strictly. Unknown parameters are ignored.

A parameter may be given several times only if its field is a tuple.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Self, get_origin

from aiohttp import web
from pydantic import AfterValidator, BaseModel, BeforeValidator, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError


def _digits(value: object) -> object:
    """Rejects `1_0`, `+10` and ` 10.0 `, which pydantic accepts as ten."""
    if isinstance(value, str) and not re.fullmatch("-?[0-9]+", value):
        raise PydanticCustomError("int_parsing", "Input should be a whole number, written in digits")
    return value


def _printable(text: str) -> str:
    """Rejects control characters; no database stores NUL."""
    if not text.isprintable():
        raise PydanticCustomError("string_unprintable", "Input should have printable characters only")
    return text


WholeNumber = Annotated[int, BeforeValidator(_digits)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_printable)]
SearchText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_printable)
]


def _moment(value: object) -> object:
    """A date means its midnight; a time without a zone is in UTC."""
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError(
            "datetime_parsing", "Input should be a date or time in ISO 8601; in a URL + is written %2B"
        ) from None


def _true_or_false(value: object) -> object:
    if value not in (True, False, "true", "false"):
        raise PydanticCustomError("bool_parsing", "Input should be true or false")
    return value


Moment = Annotated[datetime, BeforeValidator(_moment)]
Flag = Annotated[bool, BeforeValidator(_true_or_false)]


class Query(BaseModel):
    """Base class of the queries."""

    @classmethod
    def of(cls, request: web.Request) -> Self:
        """Parse the request's query. Raises pydantic's ValidationError, which becomes a 422."""
        return cls.model_validate({name: request.query.getall(name) for name in request.query})

    @field_validator("*", mode="before")
    @classmethod
    def _once(cls, values: object, info: ValidationInfo) -> object:
        """Reject a repeated parameter: it is unclear which value is meant, and a proxy may have checked the other."""
        if not isinstance(values, list) or cls._is_repeatable(info.field_name or ""):
            return values
        if len(values) > 1:
            raise PydanticCustomError("given_twice", "Given more than once")
        return values[0]

    @classmethod
    def _is_repeatable(cls, name: str) -> bool:
        return get_origin(cls.model_fields[name].annotation) is tuple
