"""Watches what clients acknowledge. A client that reads nothing is disconnected; a slow one keeps its transfer."""

import array
import asyncio
import fcntl
import logging
import socket
import struct
import termios
from collections.abc import Callable, Iterable

from aiohttp import web

from service.http.requests import describe_caller

log = logging.getLogger(__name__)

CHECKS = 4  # within the time limit
INTERVAL = 0.05  # seconds between two checks when the service stops


async def abort_when_stalled(request: web.Request, resource: str, bytes_sent: Callable[[], int], limit: float) -> None:
    """Reset the connection once bytes have waited for the client and it acknowledged none for `limit` seconds.

    It counts checks instead of comparing times: a process that was frozen itself, as in a paused container, resets no
    connection when it continues.
    """
    last, unchanged = (-1, -1), 0
    while unchanged < CHECKS:
        await asyncio.sleep(limit / CHECKS)
        current = (bytes_sent(), _unacknowledged(request.transport))
        unchanged = unchanged + 1 if current == last and current[1] else 0
        last = current
    log.warning(
        "%s to %s, which took no byte for %s s and is cut off after %d (a client that reads in bursts, like "
        "curl --limit-rate, needs a longer exports.stall_timeout)",
        resource,
        describe_caller(request),
        limit,
        bytes_sent(),
    )
    _abort(request)


async def acknowledged(connections: Iterable[asyncio.Transport], is_late: Callable[[], bool]) -> bool:
    """Wait until the clients have all bytes that were sent to them; return False if `is_late` becomes true before.

    A container's network ends with the process. Bytes that the kernel still holds then are lost, although their audit
    rows say "success".
    """
    while any(_unacknowledged(connection) for connection in connections):
        if is_late():
            return False
        await asyncio.sleep(INTERVAL)
    return True


def _unacknowledged(transport: asyncio.Transport | None) -> int:
    """Bytes that the client has not acknowledged: in this process and in the kernel (Linux SIOCOUTQ, tcp(7))."""
    if transport is None or transport.is_closing():
        return 0
    queued = array.array("i", [0])
    fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
    return transport.get_write_buffer_size() + queued[0]


def _abort(request: web.Request) -> None:
    """Reset the connection, so that the kernel drops what the client has not read (socket(7), SO_LINGER)."""
    transport = request.transport
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
