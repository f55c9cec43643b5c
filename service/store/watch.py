"""Detects changes in the directories of a local store with inotify(7).

The alternative is a stat of every file, which takes seconds for a million. The kernel queues the event for a change
before the system call that made it returns. There are no events for changes that other machines make on a network file
system, or that a program makes through a hard link elsewhere. So directories on other file systems are not watched, and
the caller must still compare all files from time to time.
"""

import ctypes
import os
import struct
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from service.store.files import StoreUnavailable

# inotify(7)
MODIFY, ATTRIB, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x4, 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF, OVERFLOW, IGNORED = 0x400, 0x800, 0x4000, 0x8000
CHANGES = MODIFY | ATTRIB | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF
EVENT = struct.Struct("iIII")
BUFFER = 64 * 1024
NOTHING = -1
LOCAL = {"ext2", "ext3", "ext4", "xfs", "f2fs", "tmpfs", "overlay", "zfs"}
MOUNTS = Path("/proc/self/mountinfo")


class Watch:
    """The changes in the directories below a root, each known by its name. Any thread may use it.

    `open_directory` opens one by the store's rules, or returns None where there is none.
    """

    def __init__(self, root: Path, open_directory: Callable[[str], int | None]) -> None:
        self._root = root
        self._open_directory = open_directory
        self._lock = threading.Lock()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._inotify = -1  # descriptor
        self._root_watch = -1
        self._device = -1
        self._begun = 0  # how often all watches were dropped and added again
        self._changes: Counter[str] = Counter()  # by the directory's name
        self._watches: dict[str, int] = {}  # by the directory's name; NOTHING where there is no directory
        self._names: dict[int, set[str]] = {}  # by the watch: links may give a directory several

    def state(self, name: str) -> object | None:
        """A value that equals an earlier one only if nothing in the directory has changed since; None if unknown."""
        with self._lock:
            if self._inotify >= 0:
                self._read_events()
            if self._inotify < 0 and not self._begin():
                return None
            if name not in self._watches and not self._add(name):
                return None
            return self._begun, self._changes[name]

    def close(self) -> None:
        """May be called twice."""
        with self._lock:
            self._end()

    def _begin(self) -> bool:
        self._begun += 1
        try:
            root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            self._device = os.fstat(root).st_dev
            if _file_system(self._device) not in LOCAL:
                return False
            self._inotify = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            if self._inotify < 0:
                return False
            self._root_watch = self._watch(root)
            if self._root_watch < 0:
                self._end()
            return self._inotify >= 0
        finally:
            os.close(root)

    def _end(self) -> None:
        if self._inotify >= 0:
            os.close(self._inotify)
        self._inotify = -1
        self._watches.clear()
        self._names.clear()

    def _add(self, name: str) -> bool:
        try:
            directory = self._open_directory(name)
        except StoreUnavailable:
            return False
        if directory is None:
            self._watches[name] = NOTHING  # if it is created later, the root changes
            return True
        try:
            if os.fstat(directory).st_dev != self._device:
                return False
            watch = self._watch(directory)
        finally:
            os.close(directory)
        if watch < 0:  # the system's limit on watches
            return False
        self._watches[name] = watch
        self._names.setdefault(watch, set()).add(name)
        return True

    def _watch(self, directory: int) -> int:
        watch: int = self._libc.inotify_add_watch(self._inotify, f"/proc/self/fd/{directory}".encode(), CHANGES)
        return watch

    def _read_events(self) -> None:
        while self._inotify >= 0:
            try:
                data = os.read(self._inotify, BUFFER)
            except BlockingIOError:
                return
            position = 0
            while position < len(data) and self._inotify >= 0:
                watch, mask, _, length = EVENT.unpack_from(data, position)
                position += EVENT.size + length
                self._note(watch, mask, data[position - length : position].rstrip(b"\0"))

    def _note(self, watch: int, mask: int, name: bytes) -> None:
        if mask & OVERFLOW or (watch == self._root_watch and mask & (DELETE_SELF | MOVE_SELF | IGNORED)):
            self._end()
        elif watch == self._root_watch:  # a directory came, went or became another
            self._changes[os.fsdecode(name)] += 1
            self._drop(os.fsdecode(name))
        else:
            names = self._names.get(watch, set())
            self._changes.update(names)
            if mask & IGNORED:
                for gone in list(names):
                    self._drop(gone)

    def _drop(self, name: str) -> None:
        """Drop the watch of the directory; the next call of `state` adds it again."""
        watch = self._watches.pop(name, NOTHING)
        if names := self._names.get(watch):
            names.discard(name)
            if not names:
                del self._names[watch]
                self._libc.inotify_rm_watch(self._inotify, watch)


def _file_system(device: int) -> str:
    """The type of the mounted file system with this device number, as proc(5) says; empty if unknown."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in MOUNTS.read_text().splitlines() if MOUNTS.exists() else ():
        fields, _, more = line.partition(" - ")
        if fields.split()[2] == number:
            return more.split()[0]
    return ""
