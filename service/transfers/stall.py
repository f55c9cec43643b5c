"""The watch for clients that take nothing. One that takes a little, however slowly, goes on."""

import array
import asyncio
import fcntl
import logging
import socket
import struct
import termios
from collections.abc import Callable

from aiohttp import web

from service.http.requests import who

log = logging.getLogger(__name__)


async def cut_off_when_stalled(
    request: web.Request, resource: str, bytes_sent: Callable[[], int], limit: float
) -> None:
    """Watch for bytes that wait for a client who acknowledges none of them for `limit` seconds."""
    loop = asyncio.get_running_loop()
    seen, since = (-1, -1), loop.time()
    while True:
        await asyncio.sleep(limit / 4)
        current = (bytes_sent(), _unsent(request))
        if current != seen or not current[1]:
            seen, since = current, loop.time()
        elif loop.time() - since >= limit:
            log.warning(
                "%s to %s, which took no byte for %s s and is cut off after %d (one that reads in bursts, like "
                "curl --limit-rate, needs a longer exports.stall_timeout)",
                resource,
                who(request),
                limit,
                bytes_sent(),
            )
            _cut_off(request)
            return


def _unsent(request: web.Request) -> int:
    """Bytes that the client has not acknowledged, in this process and in the kernel (Linux SIOCOUTQ, tcp(7))."""
    transport = request.transport
    if transport is None or transport.is_closing():
        return 0
    queued = array.array("i", [0])
    fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
    return transport.get_write_buffer_size() + queued[0]


def _cut_off(request: web.Request) -> None:
    """With a reset, so that the kernel does not keep what the client has not taken (socket(7), SO_LINGER)."""
    transport = request.transport
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
