"""One session on its way from the service to a file; what an earlier attempt left is resumed."""

import re
from http import HTTPStatus
from pathlib import Path

import aiohttp
from aiohttp import hdrs

from service.client.connection import Connection
from service.client.errors import BrokenOff, Damaged
from service.client.partial_file import PartialFile
from service.client.progress import OnProgress, Progress
from service.client.responses import body_errors, parse_number
from service.client.steps import finish_step
from service.pools import Pool, settle

CONTENT_RANGE = re.compile(r"bytes (?:([0-9]+)-[0-9]+|\*)/([0-9]+)")  # RFC 9110 section 14.4


class DownloadTransfer:
    """Downloads through one connection; the pool's threads save."""

    def __init__(self, connection: Connection, pool: Pool) -> None:
        self._connection = connection
        self._pool = pool

    async def run(self, resource: str, path: Path, progress: OnProgress) -> int:
        """Make one attempt; return the session's length. After an error the partial file stays, to be resumed."""
        part = await self._pool.run_to_end(PartialFile, lambda part: part.close(), path)
        try:
            headers = {"Range": f"bytes={part.size}-", "If-Range": f'"{part.tag}"'} if part.size else {}
            async with self._connection.get(resource, headers=headers, also={416}) as response:
                length = await self._prepare(part, response)
                await self._append(part, response, length, progress)
            if part.size != length:
                raise BrokenOff(f"{path.name} ended after {part.size} of {length} bytes.")
            await finish_step(self._pool.run(part.finish))
        finally:
            await settle(self._pool.run(part.close))
        return length

    async def _prepare(self, part: PartialFile, response: aiohttp.ClientResponse) -> int:
        """Make the part ready for the body: keep it where the body follows it, else empty it. Return the length of
        the complete session."""
        tag = response.headers.get(hdrs.ETAG, "").removeprefix('"').removesuffix('"')
        match = CONTENT_RANGE.fullmatch(response.headers.get(hdrs.CONTENT_RANGE, ""))
        if response.status == HTTPStatus.OK:
            length = parse_number(response.headers.get(hdrs.CONTENT_LENGTH))
            if length is None:
                raise Damaged("The server does not say how long the session is.")
            await finish_step(self._pool.run(part.restart, tag))
            return length
        if match and response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and int(match[2]) == part.size:
            return part.size  # complete already, only not renamed
        if match and response.status == HTTPStatus.PARTIAL_CONTENT and tag == part.tag and match[1] == str(part.size):
            return int(match[2])
        part.discard()
        raise BrokenOff("The server's range does not follow the partial file; starting over.")

    async def _append(
        self, part: PartialFile, response: aiohttp.ClientResponse, length: int, progress: OnProgress
    ) -> None:
        progress(Progress(part.size, part.size, length))
        if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return
        async with body_errors():
            async for chunk in response.content.iter_any():
                await finish_step(self._pool.run(part.write, chunk))
                progress(Progress(part.size, part.size, length))
