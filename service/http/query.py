"""The query of a request: what may be asked, each once, and read strictly. Other parameters are ignored."""

import re
from typing import Annotated, Self

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, field_validator
from pydantic_core import PydanticCustomError


def _digits(value: object) -> object:
    """pydantic would take `1_0`, `+10` and ` 10.0 ` for ten as well."""
    if isinstance(value, str) and not re.fullmatch("-?[0-9]+", value):
        raise PydanticCustomError("int_parsing", "Input should be a whole number, written in digits")
    return value


WholeNumber = Annotated[int, BeforeValidator(_digits)]


class Query(BaseModel):
    """Base of each resource's query."""

    @classmethod
    def of(cls, request: web.Request) -> Self:
        """Raises pydantic's ValidationError, which is answered with 422."""
        return cls.model_validate({name: request.query.getall(name) for name in request.query})

    @field_validator("*", mode="before")
    @classmethod
    def _once(cls, values: object) -> object:
        """Of two, neither is sure to be the one that was meant, and a proxy may have looked at the other."""
        if not isinstance(values, list):
            return values
        if len(values) > 1:
            raise PydanticCustomError("given_twice", "Given more than once")
        return values[0]
