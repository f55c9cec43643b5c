"""Reads session files for the index, block by block into transcripts. All functions block."""

import threading
from collections.abc import Callable, Iterable, Iterator

from cachetools import LRUCache

from service.catalog import Facts, FileState
from service.sessions.transcript import Transcript
from service.store import Announced, OpenFile, Read, UserFiles

READ = 1024 * 1024  # bytes that are read at once
BLOCK = 256 * 1024  # bytes; decoding one holds the interpreter's lock for half a millisecond
WORTH_KEEPING = 1024 * 1024  # bytes; reading a smaller file again costs next to nothing
KEPT = 16 * 1024 * 1024  # bytes of all cached transcripts together


def file_state(size: int, mtime_ns: int, identity: bytes) -> FileState:
    return FileState(size, mtime_ns, identity.hex())


def announced_reads(files: UserFiles, unread: Iterable[tuple[str, FileState]]) -> Iterator[tuple[UserFiles, Read]]:
    """The reads that a `Reader` makes of these files of one user, for `UserFiles.prefetch`."""
    for name, state in unread:
        size, identity = state.size_bytes, bytes.fromhex(state.identity)
        for offset in range(0, max(size, 1), READ):
            yield files, Read(0, name, offset, min(READ, size - offset), identity)


class Reader:
    """Reads files, and caches the transcripts of large ones, so that of a file that grew only the new part is read.

    Any thread may use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: LRUCache[tuple[str, str], tuple[str, Transcript]] = LRUCache(KEPT, lambda kept: kept[1].weight)

    def read(
        self, user_id: str, files: UserFiles, name: str, announced: Announced | None, pause: Callable[[], None]
    ) -> tuple[FileState, Facts]:
        """The facts of a user's file, and its version when it was opened. `pause` is called before each block.

        Raises StoreError, and what `pause` raises.
        """
        file = files.open(name, announced)
        try:
            state = file_state(file.size, file.mtime_ns, file.identity)
            transcript = self._take(user_id, name, state)
            facts = _read(file, transcript, pause)
        finally:
            file.close()
        self._keep(user_id, name, state, transcript)
        return state, facts

    def _take(self, user_id: str, name: str, state: FileState) -> Transcript:
        """Remove the transcript from the cache, so that none stays there if reading fails halfway."""
        with self._lock:
            kept = self._kept.pop((user_id, name), None)
        if kept is None or kept[0] != state.identity or kept[1].position > state.size_bytes:
            return Transcript()
        return kept[1]

    def _keep(self, user_id: str, name: str, state: FileState, transcript: Transcript) -> None:
        if state.size_bytes >= WORTH_KEEPING and transcript.weight < KEPT:
            with self._lock:
                self._kept[user_id, name] = (state.identity, transcript)


def _read(file: OpenFile, transcript: Transcript, pause: Callable[[], None]) -> Facts:
    for offset in range(transcript.position, file.size, READ):
        text = file.read_at(offset, min(READ, file.size - offset))
        for start in range(0, len(text), BLOCK):
            pause()
            transcript.feed(text[start : start + BLOCK])
    return transcript.finish()
