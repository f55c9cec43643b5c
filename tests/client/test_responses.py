"""What a response that is no success means, and a body that is none."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.client.errors import ClientError, Damaged, NotAllowed, NotFound, Refused, Unavailable
from service.client.responses import parse_number, parse_retry_after, read_json, read_refusal

T = TypeVar("T")
PROBLEM = '{"detail": "Why.", "errors": [{"loc": ["query", "limit"], "msg": "Too many"}]}'


@asynccontextmanager
async def answered(answer: web.Response) -> AsyncIterator[aiohttp.ClientResponse]:
    async def handle(_: web.Request) -> web.Response:
        return answer

    app = web.Application()
    app.router.add_get("/", handle)
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession() as session,
        session.get(server.make_url("/")) as response,
    ):
        yield response


async def read(reading: Callable[[aiohttp.ClientResponse], Awaitable[T]], answer: web.Response) -> T:
    async with answered(answer) as response:
        return await reading(response)


async def test_a_body_that_is_not_json_is_damaged() -> None:
    assert await read(read_json, web.Response(text='{"a": 1}')) == {"a": 1}
    with pytest.raises(Damaged, match="is the URL another service's"):
        await read(read_json, web.Response(text="<html>"))


@pytest.mark.parametrize(
    ("status", "kind"), [(401, NotAllowed), (403, NotAllowed), (404, NotFound), (422, Refused), (503, Unavailable)]
)
async def test_a_refusal_has_the_servers_words_and_the_requests_id(status: int, kind: type[ClientError]) -> None:
    error = await read(read_refusal, web.Response(status=status, text=PROBLEM, headers={"X-Request-ID": "r-1"}))
    assert type(error) is kind
    assert str(error) == f"Why. limit: Too many. ({status}, request r-1)"


@pytest.mark.parametrize("text", ["<html>", "[]", "{}", ""])
async def test_of_another_servers_refusal_the_status_is_told(text: str) -> None:
    error = await read(read_refusal, web.Response(status=422, reason="Odd", text=text))
    assert str(error) == "Odd. (422, request unknown)"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("7", 7), ("-7", None), ("soon", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)],
)
def test_when_to_try_again(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header) == seconds


def test_a_number_has_digits_only() -> None:
    assert [parse_number(text) for text in ("12", "1_2", " 1", "", "1" * 19, None)] == [12, *[None] * 5]
