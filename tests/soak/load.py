"""Clients of all kinds, and what each of them saw."""

import asyncio
import io
import json
import random
import uuid
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from service.catalog import User
from tests.soak.files import Files

USER = "u-1"
USERS = (User(USER, "alice@example.com", "Alice"), User("admin1", "admin1@example.com", None))
SESSIONS = f"/api/admin/users/{USER}/sessions"
PAUSE = 0.2  # seconds that a client waits after no answer, not all of it, or a 503
LOST = (aiohttp.ClientError, ConnectionError, TimeoutError)


@dataclass
class Attempt:
    """A download as its client saw it. `end`: complete, broken, left, stalled, refused, or unanswered."""

    id: str
    action: str
    deaths: int
    end: str = "unanswered"
    received: int = 0
    died: bool = False


class Target(Protocol):
    """What the clients ask."""

    @property
    def url(self) -> str: ...

    @property
    def headers(self) -> dict[str, str]: ...


Take = Callable[[Attempt, aiohttp.ClientResponse], Awaitable[None]]


class Load:
    """Clients that ask until they are told to pause. `deaths` is counted up before the service is killed."""

    def __init__(
        self,
        service: Target,
        files: Files,
        chance: random.Random,
        clients: int = 10,
        *,
        think: float = 0,
        change_every: float = 0.02,
    ) -> None:
        """`think` is how many seconds a client waits after each request."""
        self.attempts: list[Attempt] = []
        self.answered: Counter[str] = Counter()  # other requests, by what was asked
        self.wrong: list[str] = []
        self.deaths = 0
        self._service = service
        self._files = files
        self._chance = chance
        self._clients = clients
        self._think = think
        self._change_every = change_every
        self._go = asyncio.Event()
        self._busy = 0
        self._idle = asyncio.Event()
        self._session: aiohttp.ClientSession

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        """The clients' tasks; they begin with `resume`."""
        # Kept alive for less time than whoever counts descriptors waits: an idle connection is one of them.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=0.5)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(120)) as self._session:
            tasks = [asyncio.create_task(self._client()) for _ in range(self._clients)]
            tasks.append(asyncio.create_task(self._change()))
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                for end in await asyncio.gather(*tasks, return_exceptions=True):
                    if not isinstance(end, asyncio.CancelledError):
                        self.wrong.append(f"a client failed: {end!r}")

    def resume(self) -> None:
        self._go.set()

    async def pause(self) -> None:
        """Returns once no client waits for anything."""
        self._go.clear()
        while self._busy:
            self._idle.clear()
            await self._idle.wait()

    async def _client(self) -> None:
        kinds: dict[Callable[[], Awaitable[None]], int] = {
            self._list: 6, self._activity: 1, self._download: 8, self._range: 4, self._export: 5,
            self._leave: 4, self._stall: 1,
        }  # fmt: skip
        while True:
            await self._go.wait()
            self._busy += 1
            try:
                await self._chance.choices(list(kinds), list(kinds.values()))[0]()
            except LOST:
                self.answered["no answer"] += 1
                await asyncio.sleep(PAUSE)
            finally:
                self._busy -= 1
                self._idle.set()
            await asyncio.sleep(self._think)

    async def _change(self) -> None:
        while True:
            await self._go.wait()
            self._files.change()
            await asyncio.sleep(self._change_every)

    async def _list(self) -> None:
        offset = self._chance.randrange(0, 50)
        body = await self._json(f"{SESSIONS}?limit=20&offset={offset}", "list")
        if body is not None and not {"rows", "pagination"} <= body.keys():
            self.wrong.append(f"list: {body}")

    async def _activity(self) -> None:
        downloads = self.answered["session_download 200"]  # each with a row before its first byte
        body = await self._json("/api/admin/users/admin1/activity?limit=5", "activity")
        if body is not None and not body["rows"] and downloads:
            self.wrong.append("activity: no rows")

    async def _json(self, path: str, name: str) -> Any:
        async with self._session.get(self._service.url + path, headers=self._service.headers) as response:
            text = await response.read()
            self.answered[f"{name} {response.status}"] += 1
            if response.status == 503:
                await asyncio.sleep(PAUSE)
            elif response.status != 200:
                self.wrong.append(f"{path}: {response.status} {text!r}")
            return json.loads(text) if response.status == 200 else None

    async def _download(self) -> None:
        name = self._files.any_name()
        await self._check(name, await self._whole("session_download", f"/{name}/download"))

    async def _range(self) -> None:
        name, start = self._files.any_name(), self._chance.randrange(1, 10_000)
        headers = {"Range": f"bytes={start}-{start + self._chance.randrange(1, 5_000)}"}
        await self._check(name, await self._whole("session_download", f"/{name}/download", headers), start)

    async def _export(self) -> None:
        body = await self._whole("session_bulk_download", "/download-all")
        if body is None:
            return
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            for name in archive.namelist():
                member = archive.read(name)  # checks its CRC
                if name != "_skipped.json":
                    await self._check(name, member)

    async def _check(self, name: str, body: bytes | None, start: int = 0) -> None:
        if body is not None and not self._files.explains(name, body, start):
            self.wrong.append(f"{name} never held these {len(body)} bytes from {start} on: {body[:40]!r}…")
        await asyncio.sleep(0)

    async def _leave(self) -> None:
        async def take(attempt: Attempt, response: aiohttp.ClientResponse) -> None:
            attempt.received = len(await response.content.read(self._chance.choice([1, 1000, 300_000])))
            attempt.end = "left"
            response.close()

        await self._transfer(*self._chance.choice(self._long()), take)

    async def _stall(self) -> None:
        async def take(attempt: Attempt, response: aiohttp.ClientResponse) -> None:
            attempt.received = len(await response.content.read(1))
            attempt.end = "stalled"
            if response.connection is None:  # all of it was there already
                return
            assert isinstance(response.connection.transport, asyncio.Transport)
            response.connection.transport.pause_reading()
            await asyncio.sleep(self._chance.uniform(0.1, 8))
            response.close()

        await self._transfer(*self._chance.choice(self._long()), take)

    def _long(self) -> list[tuple[str, str]]:
        return [
            ("session_bulk_download", "/download-all"),
            ("session_download", f"/{self._files.any_name(big=True)}/download"),
        ]

    async def _whole(self, action: str, path: str, headers: dict[str, str] | None = None) -> bytes | None:
        """The body, unless it did not come to its end."""
        pieces: list[bytes] = []

        async def take(attempt: Attempt, response: aiohttp.ClientResponse) -> None:
            async for piece in response.content.iter_any():
                attempt.received += len(piece)
                pieces.append(piece)
            attempt.end = "complete"

        attempt = await self._transfer(action, path, take, headers)
        return b"".join(pieces) if attempt.end == "complete" else None

    async def _transfer(self, action: str, path: str, take: Take, headers: dict[str, str] | None = None) -> Attempt:
        attempt = Attempt(uuid.uuid4().hex, action, self.deaths)
        self.attempts.append(attempt)
        sent = self._service.headers | {"X-Request-ID": attempt.id} | (headers or {})
        try:
            async with self._session.get(self._service.url + SESSIONS + path, headers=sent) as response:
                self.answered[f"{action} {response.status}"] += 1
                if response.status in (200, 206):
                    attempt.end = "broken"  # until it is not
                    await take(attempt, response)
                else:
                    attempt.end = "refused"
                    await asyncio.sleep(PAUSE if response.status == 503 else 0)
        except LOST:
            await asyncio.sleep(PAUSE)
        finally:
            attempt.died = self.deaths > attempt.deaths
        return attempt
