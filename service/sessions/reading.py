"""Reads session files for the index, block by block into transcripts. All functions block."""

import threading
from collections.abc import Callable

from cachetools import LRUCache

from service.catalog import Facts, FileState
from service.sessions.transcript import Transcript
from service.store import OpenFile, UserFiles

BLOCK = 256 * 1024  # bytes; decoding one holds the interpreter's lock for half a millisecond
WORTH_KEEPING = 1024 * 1024  # bytes; reading a smaller file again costs next to nothing
KEPT = 16 * 1024 * 1024  # bytes of all cached transcripts together


def file_state(size: int, mtime_ns: int, identity: bytes) -> FileState:
    return FileState(size, mtime_ns, identity.hex())


class Reader:
    """Reads files, and caches the transcripts of large ones, so that of a file that grew only the new part is read.

    Any thread may use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: LRUCache[tuple[str, str], tuple[str, Transcript]] = LRUCache(KEPT, lambda kept: kept[1].weight)

    def read(self, user_id: str, files: UserFiles, name: str, pause: Callable[[], None]) -> tuple[FileState, Facts]:
        """The facts of a user's file, and its version when it was opened. `pause` is called before each block.

        Raises StoreError, and what `pause` raises.
        """
        file = files.open(name)
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
    for offset in range(transcript.position, file.size, BLOCK):
        pause()
        transcript.feed(file.read_at(offset, min(BLOCK, file.size - offset)))
    return transcript.finish()
