"""Sending a response body and auditing it. Every byte of a session leaves through `Transfers.send`.

It keeps two promises. No row, no bytes: the started row is on disk before the first byte is sent. No complete
response without its row: the last bytes are held back until the row with the outcome is on disk.

After the first byte the only way to fail is to raise, which breaks the connection. To return normally would end a
truncated body as if it were complete.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Container
from contextlib import aclosing
from http import HTTPStatus
from typing import TypeAlias
from weakref import WeakSet

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from service.catalog import CatalogError, CatalogUncertain, Event, Replica, Result, Superseded
from service.catalog.replicas import DEAD_AFTER
from service.http.problems import Problem
from service.http.requests import REQUEST_ID, STREAM, describe_caller, route_pattern
from service.pools import settle
from service.store import Replaced, StoreError, Truncated, Unreadable
from service.transfers.events import event_of
from service.transfers.record import Entry, Record
from service.transfers.stall import abort_when_stalled, acknowledged
from service.transfers.volume import Volume

log = logging.getLogger(__name__)

Buffer: TypeAlias = bytes | memoryview

# Bytes that are held back until the outcome is on disk. Enough that without them no client takes the response for
# complete (the end of a ZIP is in them), and no more: all other bytes must have been sent when the row says "success".
TAIL = 1024
TAIL_TIMEOUT = 1  # seconds that a stopping service waits for the tail to be sent

RETRY = 0.5  # seconds between two attempts to find out whether a row is on disk

PROGRESS_INTERVAL = 60  # seconds between two log lines about the same transfer


class Stopping(Problem):
    """The service is stopping and accepts no new transfers."""

    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The service is stopping; try again in a moment.",
            headers={hdrs.RETRY_AFTER: "5", hdrs.CONNECTION: "close"},
        )


class Transfer:
    """One response that is being sent."""

    def __init__(self, request: web.Request, response: web.StreamResponse, record: Record) -> None:
        self.request = request
        self.response = response
        self.record = record
        self.kind = record.action.kind or record.action.name
        self.bytes_sent = 0
        self.first_byte_at: float | None = None  # of `time.monotonic`
        self.outcome: Result | None = None
        self.interrupted = False
        self.sending_tail = False  # the row with "success" is being written, and then the tail is sent
        self._task = asyncio.current_task()
        self._began = time.monotonic()
        self._last_progress = self._began
        self.started = self._event(record.started(), Result.STARTED, None)

    @property
    def resource(self) -> str:
        return self.started.resource

    def interrupt(self) -> None:
        """Break it off because the service stops. If its row may say "success" already, it has TAIL_TIMEOUT left."""
        self.interrupted = True
        if self._task is not None:
            delay = TAIL_TIMEOUT if self.sending_tail else 0
            asyncio.get_running_loop().call_later(delay, self._task.cancel)

    @property
    def is_cancelled(self) -> bool:
        """Whether `interrupt` has cancelled its task, also if an error hid the cancellation."""
        return self._task is not None and self._task.cancelling() > 0

    def ended(self, outcome: Result, still_to_send: int = 0) -> list[Event]:
        """The rows with the outcome. `still_to_send` is how many bytes are sent after they are written."""
        entries = self.record.ended(self.record.volume(self.bytes_sent + still_to_send))
        duration_ms = int((time.monotonic() - self._began) * 1000)
        return [self._event(entry, outcome, duration_ms) for entry in entries]

    def volume(self) -> Volume:
        """The volume so far."""
        return self.record.volume(self.bytes_sent)

    def log_progress(self, now: float) -> None:
        """Write a log line unless there was one within the interval. `now` is of `time.monotonic`."""
        if now - self._last_progress < PROGRESS_INTERVAL:
            return
        self._last_progress = now
        seconds = now - self._began
        log.info(
            "%s to %s: %s after %d s",
            self.resource,
            describe_caller(self.request),
            self.volume().progress(self.record.announced, seconds),
            seconds,
            extra={"request_id": self.request[REQUEST_ID]},
        )

    def _event(self, entry: Entry, result: Result, duration_ms: int | None) -> Event:
        return event_of(self.request, self.record.action, entry, result, duration_ms)

    async def write(self, piece: Buffer) -> None:
        """Hand a piece to the kernel, after the headers if it is the first. Waits while the client does not read."""
        await self.response.prepare(self.request)  # sends the headers, once
        await self.response.write(piece)
        await self.request.writer.drain()  # aiohttp itself drains only after large writes
        if self.first_byte_at is None:
            self.first_byte_at = time.monotonic()
        self.bytes_sent += len(piece)


class Transfers:
    """All running transfers of the service."""

    def __init__(self, replica: Replica, stall_timeout: float) -> None:
        self._replica = replica
        self._stall_timeout = stall_timeout
        self._running: set[Transfer] = set()
        self._connections: WeakSet[asyncio.Transport] = WeakSet()  # of all transfers, also of those that have ended
        self._ended = Volume()
        self._idle = asyncio.Event()
        self._idle.set()
        self._hurried = asyncio.Event()
        self.stopping = False

    async def send(
        self,
        request: web.Request,
        response: web.StreamResponse,
        body: AsyncGenerator[Buffer, None],
        record: Record,
    ) -> web.StreamResponse:
        """Send the body as the response, with its two audit rows. Closes `body`.

        Raises before anything is sent: CatalogError if the started row cannot be written, Stopping, and
        ConnectionResetError if the client has disconnected already. Every other failure has its row with the outcome.
        """
        transfer = request[STREAM] = Transfer(request, response, record)
        async with aclosing(body):
            if self.stopping:
                raise Stopping
            if request.transport is None:
                raise ConnectionResetError("the client disconnected before the transfer began")
            self._running.add(transfer)
            self._connections.add(request.transport)
            self._idle.clear()
            watch = asyncio.create_task(
                abort_when_stalled(request, transfer.resource, lambda: transfer.bytes_sent, self._stall_timeout)
            )
            # The first piece is made while the started row is written. Nothing is sent before `_announce` returns.
            first = asyncio.ensure_future(anext(body, b""))
            try:
                await self._announce(transfer)
                await self._send(transfer, first, body)
            finally:
                # In this order: a generator cannot be closed while it runs, so `first` must end before `aclosing` acts;
                # and `stop` waits for `_idle`, so it is set only after all rows are written.
                first.cancel()
                await settle(first)
                watch.cancel()
                self._running.discard(transfer)
                self._ended += transfer.volume()
                if not self._running:
                    self._idle.set()
        return response

    @property
    def volume(self) -> Volume:
        """The volume of all transfers since the start, including the running ones."""
        return sum((transfer.volume() for transfer in self._running), self._ended)

    @property
    def running(self) -> int:
        """How many are running."""
        return len(self._running)

    def log_progress(self) -> None:
        """Log the progress of long transfers. Call it more often than every PROGRESS_INTERVAL."""
        for transfer in self._running:
            transfer.log_progress(time.monotonic())

    async def idle(self) -> None:
        """Wait until no transfer is running and all rows are written."""
        await self._idle.wait()

    async def stop(self, timeout: float) -> None:  # noqa: ASYNC109 - it bounds the transfers, not this call
        """Reject new transfers. Wait for the running ones, at most `timeout` seconds or until `hurry` is called; then
        break them off and wait for their rows. In the time that is left, clients receive what was sent to them."""
        self.stopping = True
        deadline = time.monotonic() + timeout
        waits = [asyncio.create_task(event.wait()) for event in (self._idle, self._hurried)]
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if self._running:
            log.warning("transfers that are still running and are broken off now: %d", len(self._running))
        for transfer in self._running:
            transfer.interrupt()
        await self.idle()
        if not await acknowledged(self._connections, lambda: self._hurried.is_set() or time.monotonic() > deadline):
            log.warning("clients have not received all that was sent to them")
        self._connections.clear()  # when `stop` is called again, it does not wait for them again

    def hurry(self) -> None:
        """Make `stop` wait no longer."""
        self._hurried.set()

    async def _announce(self, transfer: Transfer) -> None:
        """Write the started row. If cancelled, the row is on disk nevertheless, so write its outcome too."""
        try:
            await self._replica.begin(transfer.started)
        except asyncio.CancelledError as error:
            await self._write_failure(transfer, error)
            raise
        except CatalogUncertain:  # if the row is there after all, it gets this outcome
            self._replica.keep_pending(transfer.started.id, transfer.ended(Result.ERROR))
            raise

    async def _send(
        self, transfer: Transfer, first: asyncio.Future[Buffer], body: AsyncGenerator[Buffer, None]
    ) -> None:
        try:
            tail = await self._send_all_but_the_tail(transfer, first, body)
            transfer.sending_tail = True
            await self._write_success(transfer, len(tail))
            await transfer.write(tail)
            await transfer.response.write_eof()
        except Superseded:
            transfer.outcome = Result.INTERRUPTED  # as the audit log says already
            log.error(  # noqa: TRY400 - no failure of this code
                "%s to %s is broken off: another replica took this one for dead",
                transfer.resource,
                describe_caller(transfer.request),
            )
            raise
        except BaseException as error:
            if transfer.outcome is None:
                await self._write_failure(transfer, error)
            raise

    async def _write_success(self, transfer: Transfer, still_to_send: int) -> None:
        """Write the row, and again for up to DEAD_AFTER seconds while it is unknown whether it is on disk, unless the
        service stops. To give up at once could break off a response whose row says "success"."""
        events = transfer.ended(Result.SUCCESS, still_to_send)
        deadline: float | None = None
        while transfer.outcome is None:
            try:
                await self._replica.end(transfer.started.id, events)
                transfer.outcome = Result.SUCCESS
            except asyncio.CancelledError:
                transfer.outcome = Result.SUCCESS  # the row is on disk, and a second outcome would contradict it
                raise
            except CatalogError as error:
                if deadline is None and isinstance(error, CatalogUncertain):
                    deadline = time.monotonic() + DEAD_AFTER
                if deadline is None or time.monotonic() > deadline or transfer.is_cancelled:
                    raise
                await asyncio.sleep(RETRY)

    async def _send_all_but_the_tail(
        self, transfer: Transfer, first: asyncio.Future[Buffer], body: AsyncGenerator[Buffer, None]
    ) -> Buffer:
        transport = transfer.request.transport
        if transport is None:
            raise ConnectionResetError("the client disconnected before the response began")
        # A write returns once the kernel has all of it: nothing is buffered in this process, and `bytes_sent` is exact.
        transport.set_write_buffer_limits(high=0)
        held = await first
        if len(held) > 1:  # the next piece may take a while, so the first byte is sent at once
            await transfer.write(held[:1])
            held = held[1:]
        async for piece in body:
            await transfer.write(held)
            held = piece
        if len(held) > TAIL:
            await transfer.write(held[:-TAIL])
            held = held[-TAIL:]
        if transport.is_closing():
            raise ConnectionResetError("the client disconnected")
        return held

    async def _write_failure(self, transfer: Transfer, cause: BaseException) -> None:
        outcome = transfer.outcome = _outcome(transfer, cause)
        if outcome == Result.ERROR:
            _log_failure(transfer, cause)
        events = transfer.ended(outcome)
        try:
            await self._replica.end(transfer.started.id, events)
        except Superseded:
            transfer.outcome = Result.INTERRUPTED
        except CatalogError as error:
            self._replica.keep_pending(transfer.started.id, events)
            log.error(  # noqa: TRY400 - the message of the database is enough
                "the outcome of %s to %s is not in the audit log yet; it is written once the catalog takes rows again: "
                "%s",
                transfer.resource,
                describe_caller(transfer.request),
                error,
            )


TRANSFERS = web.AppKey("transfers", Transfers)


def _outcome(transfer: Transfer, cause: BaseException) -> Result:
    if transfer.interrupted:
        return Result.INTERRUPTED
    # Sources raise StoreError, so a ConnectionError comes from the client. So does a cancellation that is not ours.
    return Result.ABORTED if isinstance(cause, ConnectionError | asyncio.CancelledError) else Result.ERROR


def _log_failure(transfer: Transfer, cause: BaseException) -> None:
    file = f"{cause.name}: " if isinstance(cause, Truncated | Replaced | Unreadable) and cause.name else ""
    log.error(
        "%s to %s is broken off after %d bytes: %s%s",
        transfer.resource,
        describe_caller(transfer.request),
        transfer.bytes_sent,
        file,
        cause,
        exc_info=None if isinstance(cause, StoreError | CatalogError) else cause,
    )


def refuse_while_stopping(health_routes: Container[str]) -> Middleware:
    """The middleware that answers 503 once the service stops, except for `health_routes`."""

    @web.middleware
    async def refused(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.app[TRANSFERS].stopping and route_pattern(request) not in health_routes:
            raise Stopping
        return await handler(request)

    return refused
