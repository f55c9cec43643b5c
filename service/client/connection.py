"""HTTP requests to one service: with the token, with retries, and with each failure as a ClientError.

A temporary error is retried after the time that the server names (Retry-After), else after 1, 2, 4, ... seconds.
Redirects are not followed: the token is for one server.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias, TypeVar

import aiohttp
from aiohttp import hdrs
from yarl import URL

from service import __version__
from service.client.errors import Refused, TemporaryError, Unavailable
from service.client.responses import read_refusal

T = TypeVar("T")

READ_BUFFER = 512 * 1024  # bytes of a response that wait to be read
LONGEST_WAIT = 600.0  # seconds; if a server asks for a longer wait, the request is not retried
CONNECT_TIMEOUT = 30  # seconds
READ_TIMEOUT = 300  # seconds without a byte; longer than an export waits for its slot

OnRetry: TypeAlias = Callable[[TemporaryError, float], None]
Sleep: TypeAlias = Callable[[float], Awaitable[None]]
Params: TypeAlias = Sequence[tuple[str, str]]


class Connection:
    """Call `open` before the first request, and `close` after the last."""

    def __init__(self, url: str, token: str, *, retries: int, on_retry: OnRetry, sleep: Sleep = asyncio.sleep) -> None:
        self._api = f"{url.rstrip('/')}/api/admin"
        self._headers = {
            hdrs.AUTHORIZATION: f"Bearer {token}",
            hdrs.USER_AGENT: f"session-export/{__version__}",
            hdrs.ACCEPT_ENCODING: "identity",
        }
        self._retries = retries
        self._on_retry = on_retry
        self._sleep = sleep

    def open(self) -> None:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT),
            read_bufsize=READ_BUFFER,
            auto_decompress=False,
        )

    async def close(self) -> None:
        await self._http.close()

    def get(
        self,
        path: str,
        *,
        params: Params = (),
        headers: Mapping[str, str] | None = None,
        also: Set[int] = frozenset(),
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """GET `path`, which is below /api/admin and encoded. The status of the response is 2xx or in `also`."""
        url = self._url(path)
        return self._response(self._http.get(url, params=params, headers=headers, allow_redirects=False), url, also)

    def send(
        self, method: str, path: str, body: Mapping[str, object]
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """The same with a JSON body, for requests that change something."""
        url = self._url(path)
        return self._response(self._http.request(method, url, json=body, allow_redirects=False), url, frozenset())

    def _url(self, path: str) -> URL:
        return URL(f"{self._api}/{path}", encoded=True)

    @asynccontextmanager
    async def _response(
        self, request: Awaitable[aiohttp.ClientResponse], url: URL, also: Set[int]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            response = await request
        except aiohttp.ClientSSLError as error:
            raise Refused(f"No safe connection to {url.origin()}: {error}.") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{url.origin()} does not answer: {error or type(error).__name__}.") from error
        async with response:
            if (response.ok and response.status < 300) or response.status in also:
                yield response
            else:
                raise await read_refusal(response)

    async def retry(self, attempt: Callable[[], Awaitable[T]], position: Callable[[], int] = lambda: 0) -> T:
        """Make an attempt, and retry it after each temporary error until the retries are used up.

        `position` returns the progress of all attempts together; whenever it has grown, the count of retries restarts.
        """
        tries, furthest = 0, position()
        while True:
            try:
                return await attempt()
            except TemporaryError as error:
                if position() > furthest:
                    tries, furthest = 0, position()
                seconds = 2.0**tries if error.retry_after is None else error.retry_after
                if tries == self._retries or seconds > LONGEST_WAIT:
                    raise
                self._on_retry(error, seconds)
                await self._sleep(seconds)
                tries += 1
