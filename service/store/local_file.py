"""A session file of the local directory: opened relative to its directory's descriptor, and read from its own."""

import asyncio
import errno
import os
import stat
import struct
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from typing import Any

import aiofiles
from aiofiles.threadpool.binary import AsyncFileIO

from service.pools import settle
from service.store.files import NotFound, NotRegular, StoreError, StoreUnavailable, Truncated, Unreadable

OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
CHUNK = 1024 * 1024  # bytes; chunks of a quarter of it take three times as long
IDENTITY = struct.Struct(">QQ")  # device and inode


class LocalFile:
    """See `OpenFile`."""

    __slots__ = ("_executor", "_fd", "identity", "mtime_ns", "name", "size")

    def __init__(self, name: str, fd: int, status: os.stat_result, executor: Executor) -> None:
        """`executor` runs the reads of `chunks`."""
        self._fd = fd
        self._executor = executor
        self.name = name
        self.size = status.st_size
        self.mtime_ns = status.st_mtime_ns
        self.identity = IDENTITY.pack(status.st_dev, status.st_ino)

    def read_at(self, offset: int, count: int) -> bytes:
        try:
            data = os.pread(self._fd, count, offset)
            while len(data) < count:  # a signal or a network file system may give less than is there
                more = os.pread(self._fd, count - len(data), offset + len(data))
                if not more:
                    raise Truncated(self.name)
                data += more
        except OSError as error:
            raise Unreadable(self.name) from error
        return data

    async def chunks(self, wanted: range) -> AsyncGenerator[bytes, None]:
        """One chunk is read while the previous one is sent."""
        left = len(wanted)
        opening = asyncio.ensure_future(self._reader(wanted.start))
        step: asyncio.Future[Any] = opening
        try:
            reader = await asyncio.shield(opening)
            step = asyncio.ensure_future(reader.read(min(CHUNK, left)))
            while left:
                chunk = await asyncio.shield(step)
                if not chunk:
                    raise Truncated(self.name)
                left -= len(chunk)
                if left:
                    step = asyncio.ensure_future(reader.read(min(CHUNK, left)))
                yield chunk
        except OSError as error:
            raise Unreadable(self.name) from error
        finally:
            # If the descriptor were closed while a thread reads from it, its number could become another file's.
            await settle(step)

    async def _reader(self, start: int) -> AsyncFileIO:
        reader = await aiofiles.open(self._fd, "rb", buffering=0, closefd=False, executor=self._executor)
        await reader.seek(start)
        return reader

    def has_changed(self) -> bool:
        try:
            status = os.fstat(self._fd)
        except OSError as error:
            raise Unreadable(self.name) from error
        return (status.st_size, status.st_mtime_ns) != (self.size, self.mtime_ns)

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def open_regular(name: str, directory: int, executor: Executor) -> LocalFile:
    """Open `name` in `directory` if it is a regular file.

    The stat before opening keeps FIFOs and devices from being opened, the one after it finds out whether the file was
    swapped in between. Raises NotFound, NotRegular, Unreadable or StoreUnavailable.
    """
    fd = -1
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise NotRegular
        fd = os.open(name, OPEN_FILE, dir_fd=directory)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise NotRegular
        return LocalFile(name, fd, status, executor)
    except BaseException as error:
        if fd >= 0:
            os.close(fd)
        if isinstance(error, OSError):
            raise store_error(error) from error
        raise


def store_error(error: OSError) -> StoreError:
    """The store's error for the system's error about one file."""
    if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
        return NotFound()
    if error.errno in (errno.ELOOP, errno.ENXIO):  # swapped for a link, or for a socket
        return NotRegular()
    if error.errno in (errno.EMFILE, errno.ENFILE):  # the service is at its limit; the file is not to blame
        return StoreUnavailable()
    return Unreadable()
