"""A session root, a catalog and a running service, all real, for one test."""

import hashlib
import json
import os
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from service.api.parts import DATABASE, SETTINGS
from service.catalog import Usage, UsageRow, User, Users
from service.config import (
    S3,
    Auth,
    Catalog,
    Console,
    Exports,
    Index,
    Jwt,
    Links,
    Metrics,
    ProxyHeaders,
    Server,
    Settings,
    Storage,
    Token,
)
from service.http.protocol import Runner
from service.server.app import build_app
from service.store import BucketRoot
from service.transfers.transfer import TRANSFERS
from tests.document import violations

ADMIN = "admin-token"
PLAIN = "plain-token"
NOISE = random.Random(7).randbytes(3_000_000)  # does not deflate: what is cut by bytes is cut in the middle
BIG = 40_000_000  # more bytes than all the buffers on the way to a client that does not read
ALICE = User("u-1", "alice@example.com", "Alice")


AUDIT = """
    SELECT id, timestamp, user_id, action, resource, CAST(params AS VARCHAR) AS params, result, duration_ms,
           CAST(params_before AS VARCHAR) AS params_before, client_ip, client_kind, correlation_id
    FROM audit_log WHERE action LIKE $1 ORDER BY timestamp, id
"""


class RealServer(TestServer):
    """aiohttp's test server, with the service's own runner."""

    __test__ = False

    def __init__(self, app: web.Application, *, cancelling: bool) -> None:
        super().__init__(app)
        self._cancelling = cancelling

    async def _make_runner(self, **_: Any) -> Runner:
        server = self.app[SETTINGS].server
        return Runner(
            self.app,
            handler_cancellation=self._cancelling,
            max_connections=server.max_connections,
            idle_timeout=server.idle_timeout,
        )


class World:
    """`settings` may be changed before `start`. The user Alice exists from the start on, without a directory.

    What an answer has and the OpenAPI document does not allow is collected in `violations`; its fixture asserts that
    there are none.
    """

    def __init__(self, directory: Path, stack: AsyncExitStack) -> None:
        self.root = directory / "root"
        self.root.mkdir()
        self.bucket: BucketRoot | None = None  # instead of the root
        self.s3 = S3()
        self.catalog_url = str(directory / "catalog.duckdb")
        self._stack = stack
        self.violations: list[str] = []
        self.exports = Exports()
        self.server = Server(shutdown_timeout=1)
        self.metrics = Metrics()
        self.index = Index(enabled=False)  # what tests see does not depend on how far the background is
        self.links = Links()
        self.console = Console()
        self.jwt: Jwt | None = None
        self.proxy: ProxyHeaders | None = None
        self.before_start: Callable[[web.Application], object] = lambda app: None
        self.layouts: tuple[str, ...] = ("{email_local}", "{user_id}")
        self.tokens: tuple[Token, ...] = (
            token(ADMIN, "admin1", admin=True),
            token(PLAIN, "someone", admin=False),
        )

    @property
    def settings(self) -> Settings:
        return Settings(
            server=self.server,
            storage=Storage(root=self.bucket or self.root, layouts=self.layouts, s3=self.s3),
            catalog=Catalog(url=self.catalog_url),
            auth=Auth(tokens=self.tokens, jwt=self.jwt, proxy=self.proxy),
            exports=self.exports,
            links=self.links,
            console=self.console,
            index=self.index,
            metrics=self.metrics,
        )

    async def start(self, *, cancelling: bool = True) -> "World":
        """Serve on a real socket; `cancelling` as aiohttp's `handler_cancellation`."""
        self.app = build_app(self.settings)
        self.before_start(self.app)
        self.app.on_response_prepare.append(self._compare)
        self.running = await self._stack.enter_async_context(RealServer(self.app, cancelling=cancelling))
        self.client = await self._stack.enter_async_context(
            aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))
        )
        await self.add_users(ALICE)
        return self

    async def _compare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Hold an answer against the document. Paths and methods that do not exist are no operations."""
        if (resource := request.match_info.route.resource) is None:
            return
        body = getattr(response, "body", None)
        is_json = isinstance(body, bytes) and response.content_type in ("application/json", "application/problem+json")
        answer = (response.status, response.headers, json.loads(body) if is_json and body else None)
        self.violations += violations(request.method, resource.canonical, *answer)

    async def stop(self) -> None:
        await self.running.close()

    async def add_users(self, *users: User) -> None:
        await Users(self.app[DATABASE]).add(users)

    async def add_usage(self, session_file: str, **fields: Any) -> None:
        """A row that a processor would have left for Alice."""
        username = fields.pop("username", "alice")
        user_id = fields.pop("user_id", ALICE.id)
        version = fields.pop("processor_version", 1)
        values: dict[str, Any] = {
            "session_id": "s",
            "started_at": datetime(2026, 5, 10, 12, tzinfo=UTC),
            "ended_at": None,
            "active_seconds": 61,
            "wall_seconds": 300,
            "tool_calls": 5,
            "tool_errors": 1,
            "primary_model": "claude",
        }
        row = UsageRow(session_file=session_file, **(values | fields))
        await Usage(self.app[DATABASE]).add(row, username=username, user_id=user_id, processor_version=version)

    async def sql(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        return await self.app[DATABASE].query(sql, parameters)

    async def audit(self, action: str = "%") -> list[dict[str, Any]]:
        """The audit log from the oldest row on."""
        await self.app[TRANSFERS].idle()
        return await self.sql(AUDIT, [action])

    @property
    def catalog(self) -> Path:
        """The file, on DuckDB."""
        return Path(self.catalog_url)

    @catalog.setter
    def catalog(self, path: Path) -> None:
        self.catalog_url = str(path)

    def file(self, name: str, data: bytes = b"{}\n", *, folder: str = "alice", mtime: float | None = None) -> Path:
        path = self.root / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        if mtime is not None:
            os.utime(path, (mtime, mtime))
        return path

    def url(self, path: str) -> str:
        """A path below /api/admin/users, or from the top with a leading slash; sent as it stands."""
        return f"http://127.0.0.1:{self.running.port}{path if path.startswith('/') else f'/api/admin/users/{path}'}"

    def request(self, path: str, method: str = "GET", token: str | None = ADMIN, **kwargs: Any) -> Any:
        headers = dict(kwargs.pop("headers", {}))
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token}")
        return self.client.request(method, URL(self.url(path), encoded=True), headers=headers, **kwargs)

    async def get(self, path: str, method: str = "GET", **kwargs: Any) -> "Answer":
        async with self.request(path, method, **kwargs) as response:
            return Answer(response.status, response.headers.copy(), await response.read())


class Answer:
    """A response that was read to its end."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def noise(size: int) -> bytes:
    """As many bytes, which do not deflate: they repeat far beyond its window."""
    return (NOISE * (size // len(NOISE) + 1))[:size]


def token(text: str, user_id: str, *, admin: bool, expires_at: datetime | None = None) -> Token:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Token(name=user_id, user_id=user_id, admin=admin, sha256=digest, expires_at=expires_at)


def assert_problem(answer: Answer, status: int, detail: str | None = None) -> None:
    """The one shape of an error, with nothing in it that is not for clients."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.headers["X-Request-ID"]
    assert {"type", "title", "status", "detail", "instance"} <= answer.json.keys()
    assert answer.json["status"] == status
    assert answer.json["detail"].strip()
    assert detail is None or answer.json["detail"] == detail
    for secret in (b"Traceback", b"/root/", b"SELECT", b".py", b"/tmp", b"/dev/shm"):
        assert secret not in answer.body
