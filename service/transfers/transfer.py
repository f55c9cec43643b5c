"""How a stream is sent and accounted for. Every byte of a session leaves through `Transfers.send`.

Two promises are kept here. No row, no bytes: the `_started` row is on disk before the first byte is sent. No whole
response without its row: the end of the body is held back until the row with the outcome is on disk.

After the first byte the only way to fail is to raise, so that the connection breaks; a normal return would end a
truncated body like a whole one.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Container
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from service.catalog import AuditLog, CatalogError, Event
from service.http.problems import Problem
from service.http.requests import ACTOR, REQUEST_ID, STREAM, client_of, route_pattern, who
from service.pools import settle
from service.store import StoreError, Truncated, Unreadable
from service.transfers.stall import cut_off_when_stalled
from service.transfers.volume import Volume

log = logging.getLogger(__name__)

# Bytes that are held back until the outcome is on disk: enough that nothing takes the rest for the whole (a ZIP's end
# is in them), and no more, since what comes before must have left when the row says "success".
TAIL = 1024
MOMENT = 1  # seconds that they have when the service stops

LONG = 60  # seconds after which, and then each time, a transfer says how far it is


@dataclass(frozen=True, slots=True)
class Record:
    """What the audit log is to say of a transfer: the parameters before it begins, and those once it has ended."""

    action: str
    resource: str
    announced: dict[str, Any]
    counted: Callable[[], dict[str, Any]]


class Stopping(Problem):
    """The service is about to end and begins nothing any more."""

    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The service is stopping; try again in a moment.",
            headers={hdrs.RETRY_AFTER: "5", hdrs.CONNECTION: "close"},
        )


class Transfer:
    """One response under way."""

    def __init__(self, request: web.Request, response: web.StreamResponse, record: Record) -> None:
        self.request = request
        self.response = response
        self.record = record
        self.action = record.action
        self.bytes_sent = 0
        self.first_byte_at: float | None = None  # of `time.monotonic`
        self.outcome: str | None = None
        self.interrupted = False
        self.ending = False  # the row with "success" is on its way, and then the last bytes
        self._task = asyncio.current_task()
        self._began = time.monotonic()
        self._told = self._began

    def interrupt(self) -> None:
        """Break it off because the server stops; one whose row says "success" gets a moment to send its end."""
        self.interrupted = True
        if self._task is not None:
            asyncio.get_running_loop().call_later(MOMENT if self.ending else 0, self._task.cancel)

    def started(self) -> Event:
        return self._event(f"{self.record.action}_started", "started", self.record.announced, None)

    def ended(self, outcome: str, still_to_send: int = 0) -> Event:
        params = self.record.counted() | {"bytes_sent": self.bytes_sent + still_to_send}
        return self._event(self.record.action, outcome, params, int((time.monotonic() - self._began) * 1000))

    def volume(self) -> Volume:
        """What went through so far."""
        counted = self.record.counted()
        return Volume(
            bytes_read=counted.get("total_bytes", self.bytes_sent),
            bytes_sent=self.bytes_sent,
            members=counted.get("file_count", 0),
            skipped=counted.get("skipped", 0),
        )

    def say_how_far(self, now: float) -> None:
        """A line for the log, if the last one is old. `now` is that of `time.monotonic`."""
        if now - self._told < LONG:
            return
        self._told = now
        seconds = now - self._began
        log.info(
            "%s to %s: %s after %d s",
            self.record.resource,
            who(self.request),
            self.volume().progress(self.record.announced, seconds),
            seconds,
            extra={"request_id": self.request[REQUEST_ID]},
        )

    def _event(self, action: str, result: str, params: dict[str, Any], duration_ms: int | None) -> Event:
        client = client_of(self.request)
        return Event(
            user_id=self.request[ACTOR].user_id,
            action=action,
            resource=self.record.resource,
            params=params,
            result=result,
            correlation_id=self.request[REQUEST_ID],
            client_ip=client.ip,
            client_kind=client.kind,
            duration_ms=duration_ms,
        )

    async def write(self, piece: bytes) -> None:
        """Hand a piece to the kernel, the headers before the first one; waits while the client takes nothing."""
        await self.response.prepare(self.request)  # sends the headers, once
        await self.response.write(piece)
        await self.request.writer.drain()  # aiohttp itself does this only for what is large
        if self.first_byte_at is None:
            self.first_byte_at = time.monotonic()
        self.bytes_sent += len(piece)


class Transfers:
    """All transfers under way."""

    def __init__(self, audit: AuditLog, stall_timeout: float) -> None:
        self._audit = audit
        self._stall_timeout = stall_timeout
        self._running: set[Transfer] = set()
        self._ended = Volume()
        self._idle = asyncio.Event()
        self._idle.set()
        self._hurried = asyncio.Event()
        self.stopping = False

    async def send(
        self,
        request: web.Request,
        response: web.StreamResponse,
        body: AsyncGenerator[bytes, None],
        record: Record,
    ) -> web.StreamResponse:
        """Send the body as the response, with its two audit rows. Closes `body`.

        Raises CatalogError, before anything is sent, when the first row cannot be written, Stopping, and, without any
        row, ConnectionResetError when the client left before. Whatever else breaks the connection off has its row.
        """
        transfer = request[STREAM] = Transfer(request, response, record)
        async with aclosing(body):
            if self.stopping:
                raise Stopping
            if request.transport is None:
                raise ConnectionResetError("the client left before anything was begun")
            self._running.add(transfer)
            self._idle.clear()
            watch = asyncio.create_task(
                cut_off_when_stalled(request, record.resource, lambda: transfer.bytes_sent, self._stall_timeout)
            )
            first = asyncio.ensure_future(anext(body, b""))  # made while the row is on its way to the disk
            try:
                await self._announce(transfer)
                await self._send(transfer, first, body)
            finally:
                first.cancel()
                await settle(first)  # a generator cannot be closed while it runs
                watch.cancel()
                self._running.discard(transfer)
                self._ended += transfer.volume()
                if not self._running:
                    self._idle.set()
        return response

    @property
    def volume(self) -> Volume:
        """What went through since the start, in transfers under way too."""
        return sum((transfer.volume() for transfer in self._running), self._ended)

    @property
    def running(self) -> int:
        """How many are under way."""
        return len(self._running)

    def say_how_far(self) -> None:
        """For the log: each transfer that takes long says how far it is. To be called more often than once a minute."""
        for transfer in self._running:
            transfer.say_how_far(time.monotonic())

    async def idle(self) -> None:
        """Wait until none is under way and the rows of all are written."""
        await self._idle.wait()

    async def stop(self, timeout: float) -> None:  # noqa: ASYNC109 - a deadline, after which others are broken off
        """Begin no more; let what is running end for `timeout` seconds, or until `hurry` is called; then break it off
        and wait for its rows."""
        self.stopping = True
        waits = [asyncio.create_task(event.wait()) for event in (self._idle, self._hurried)]
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if self._running:
            log.warning("breaking off the transfers that have not ended: %d", len(self._running))
        for transfer in self._running:
            transfer.interrupt()
        await self.idle()

    def hurry(self) -> None:
        """Make `stop` wait no longer."""
        self._hurried.set()

    async def _announce(self, transfer: Transfer) -> None:
        """Write the first row. Whoever is cancelled meanwhile may have left it there, so it gets its outcome."""
        try:
            await self._audit.write(transfer.started())
        except asyncio.CancelledError as error:
            await self._write_failure(transfer, error)
            raise

    async def _send(self, transfer: Transfer, first: asyncio.Future[bytes], body: AsyncGenerator[bytes, None]) -> None:
        try:
            last = await self._send_all_but_the_last(transfer, first, body)
            transfer.ending = True
            try:
                await self._audit.write(transfer.ended("success", still_to_send=len(last)))
            except asyncio.CancelledError:
                transfer.outcome = "success"  # the row is on disk, and a second one would contradict it
                raise
            transfer.outcome = "success"
            await transfer.write(last)
            await transfer.response.write_eof()
        except BaseException as error:
            if transfer.outcome is None:
                await self._write_failure(transfer, error)
            raise

    async def _send_all_but_the_last(
        self, transfer: Transfer, first: asyncio.Future[bytes], body: AsyncGenerator[bytes, None]
    ) -> bytes:
        transport = transfer.request.transport
        if transport is None:
            raise ConnectionResetError("the client left before the response began")
        # So that a write ends when the kernel has all of it: nothing piles up here, and "sent" means it.
        transport.set_write_buffer_limits(high=0)
        held = await first
        if len(held) > 1:  # it may be all there is for a while: the first byte leaves at once
            await transfer.write(held[:1])
            held = held[1:]
        async for piece in body:
            await transfer.write(held)
            held = piece
        if len(held) > TAIL:
            await transfer.write(held[:-TAIL])
            held = held[-TAIL:]
        if transport.is_closing():
            raise ConnectionResetError("the client left")
        return held

    async def _write_failure(self, transfer: Transfer, cause: BaseException) -> None:
        outcome = transfer.outcome = _outcome(transfer, cause)
        if outcome == "error":
            log.error(
                "%s to %s is broken off after %d bytes: %s%s",
                transfer.record.resource,
                who(transfer.request),
                transfer.bytes_sent,
                f"{cause.name}: " if isinstance(cause, Truncated | Unreadable) and cause.name else "",
                cause,
                exc_info=None if isinstance(cause, StoreError | CatalogError) else cause,
            )
        ended = transfer.ended(outcome)
        try:
            await self._audit.write(ended)
        except CatalogError as error:
            self._audit.owe(ended)
            log.error(  # noqa: TRY400 - the database's own sentence says all
                "the outcome of %s to %s is not in the audit log yet; it will be once that takes rows again: %s",
                transfer.record.resource,
                who(transfer.request),
                error,
            )


TRANSFERS = web.AppKey("transfers", Transfers)


def _outcome(transfer: Transfer, cause: BaseException) -> str:
    if transfer.interrupted:
        return "interrupted"
    # Sources raise StoreError: a ConnectionError is the client's, and so is a cancellation that is not ours.
    return "aborted" if isinstance(cause, ConnectionError | asyncio.CancelledError) else "error"


def refuse_while_stopping(health_routes: Container[str]) -> Middleware:
    """The middleware that answers 503 once the service stops, except for `health_routes`."""

    @web.middleware
    async def refused(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.app[TRANSFERS].stopping and route_pattern(request) not in health_routes:
            raise Stopping
        return await handler(request)

    return refused
