"""The session file that a request names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from service.api.parts import SESSIONS
from service.sessions import UserSessions
from service.store import SESSION_FILE, InvalidName, OpenFile


@asynccontextmanager
async def open_session_file(request: web.Request) -> AsyncIterator[tuple[UserSessions, OpenFile]]:
    """Open the file for the block. Raises UserNotFound or StoreError."""
    name = request.match_info["session_file"]
    if not SESSION_FILE.fullmatch(name):
        raise InvalidName
    async with request.app[SESSIONS].of(request.match_info["user_id"]) as sessions:
        file = await sessions.open(name)
        try:
            yield sessions, file
        finally:
            file.close()
