"""Transfers one resource from the service to its destination, with as many requests as it takes.

A transfer that breaks off is resumed if the entity tag (RFC 9110 section 8.8.3) shows that the bytes are the same, else
started over. A partial file of an earlier process is verified before it is resumed.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Protocol

import aiohttp
from aiohttp import hdrs

from service.client.connection import Connection, Params
from service.client.errors import BrokenOff, Damaged
from service.client.progress import OnProgress, Progress
from service.client.responses import body_errors, parse_number
from service.client.saver import Saver
from service.client.steps import finish_step
from service.pools import Pool, settle

BUFFER = 1024 * 1024  # received bytes that may wait to be saved
CONTENT_RANGE = re.compile(r"bytes (?:([0-9]+)-[0-9]+|\*)/([0-9]+)")  # RFC 9110 section 14.4


class Destination(Protocol):
    """Where a transfer is saved. Its methods block, and raise CannotSave, or Damaged if they verify.

    It holds `size` bytes of the resource with the entity tag `tag`; without a tag they cannot be resumed.
    """

    tag: str
    size: int

    @property
    def text_bytes(self) -> int:
        """The uncompressed size of the saved bytes."""

    def restore(self) -> bool:
        """Verify the next piece of an earlier process's partial file; return whether there is more of it."""

    def restart(self, tag: str) -> None:
        """Begin anew, empty."""

    def write(self, chunk: bytes) -> None:
        """Save and verify."""

    def finish(self) -> None:
        """Verify the end, and give it its final name."""

    def discard(self) -> None:
        """Remove what was saved."""

    def close(self) -> None:
        """Keep the partial file if it can be resumed, else remove it. Does nothing after `finish`."""


class Transfer:
    """Call `run` once. The pool's threads save and verify."""

    def __init__(self, connection: Connection, pool: Pool, destination: Destination, on_progress: OnProgress) -> None:
        self._connection = connection
        self._pool = pool
        self._destination = destination
        self._on_progress = on_progress
        self._received = destination.size
        self._total: int | None = None
        self._resumed = False

    async def run(self, resource: str, params: Params, *, snapshots: bool = False) -> None:
        """`snapshots`: the query of the resource can pin an entity tag, so that the resource stays the same when files
        have only grown."""
        try:
            await self._restore()
            await self._connection.retry(lambda: self._attempt(resource, params, snapshots), self._resumable_bytes)
        finally:
            await settle(self._pool.run(self._destination.close))

    def _resumable_bytes(self) -> int:
        return self._destination.size if self._destination.tag else 0

    async def _restore(self) -> None:
        try:
            while await finish_step(self._pool.run(self._destination.restore)):
                self._report()
        except Damaged:
            await self._discard()

    async def _attempt(self, resource: str, params: Params, snapshots: bool) -> None:
        try:
            await self._request(resource, params, snapshots)
        except _CannotResume:
            await self._discard()
            await self._request(resource, params, snapshots)

    async def _request(self, resource: str, params: Params, snapshots: bool) -> None:
        headers: Mapping[str, str] = {}
        self._resumed = self._resumable_bytes() > 0
        if self._resumed:
            tag = self._destination.tag
            headers = {hdrs.RANGE: f"bytes={self._destination.size}-", hdrs.IF_RANGE: f'"{tag}"'}
            params = [*params, ("snapshot", tag)] if snapshots else params
        try:
            async with self._connection.get(resource, params=params, headers=headers, also={412, 416}) as response:
                length = await self._prepare(response)
                if response.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    await self._save_body(response)
            if length is not None and self._destination.size != length:
                raise BrokenOff(f"The response ended after {self._destination.size} of {length} bytes.")
            await finish_step(self._pool.run(self._destination.finish))
        except Damaged as error:
            if self._resumed:
                raise _CannotResume from error
            await self._discard()
            raise

    async def _prepare(self, response: aiohttp.ClientResponse) -> int | None:
        """Prepare the destination for the body: keep its bytes if the body continues them, else empty it. Return the
        length of the whole resource, if the server sends it."""
        tag = response.headers.get(hdrs.ETAG, "").removeprefix('"').removesuffix('"')
        match = CONTENT_RANGE.fullmatch(response.headers.get(hdrs.CONTENT_RANGE, ""))
        size = self._destination.size
        if response.status == HTTPStatus.OK:
            await finish_step(self._pool.run(self._destination.restart, tag))
            self._resumed = False
            length = parse_number(response.headers.get(hdrs.CONTENT_LENGTH))
        elif match and response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and int(match[2]) == size:
            length = size  # complete already, only not renamed
        elif (
            match
            and response.status == HTTPStatus.PARTIAL_CONTENT
            and (tag, match[1]) == (self._destination.tag, str(size))
        ):
            length = int(match[2])
        elif self._resumed:
            raise _CannotResume
        else:
            raise Damaged(f"The server's answer has the status {response.status}, though nothing was resumed.")
        self._received = self._destination.size
        self._total = parse_number(response.headers.get("X-Export-Bytes")) or length
        return length

    async def _save_body(self, response: aiohttp.ClientResponse) -> None:
        """Save the body. Bytes are read from the response as soon as they arrive, since unread bytes are lost when the
        connection breaks."""
        saver = Saver(self._pool, self._destination.write)
        try:
            try:
                async with body_errors():
                    async for chunk in response.content.iter_any():
                        saver.add(chunk)
                        self._received += len(chunk)
                        self._report()
                        await saver.drain(BUFFER)
            finally:
                await saver.drain()
        finally:
            await saver.stop()
        self._report()

    def _report(self) -> None:
        self._on_progress(Progress(self._received, self._destination.text_bytes, self._total))

    async def _discard(self) -> None:
        await finish_step(self._pool.run(self._destination.discard))
        self._received = 0


class _CannotResume(Exception):
    """The saved bytes are not a part of what the server has now: start over."""
