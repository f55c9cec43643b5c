"""Figures saved outside the process, one text for each user, so that neither another replica nor this one after a
restart has to measure exported files again.
"""

import asyncio
import time
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from struct import Struct
from typing import Protocol

from service.archive.counts import Counts
from service.archive.plan import Folder, Plan
from service.archive.remembered import Remembered
from service.pools import Pool

LENGTHS = Struct("<HI")  # of a key and of its figures
TOGETHER = 500  # users whose texts are in memory at once, at most
MOST_FILES = 50_000  # files after which a batch of users is written: some 5 MB
PAUSE = 10  # seconds between two saves of the figures of a running export
SHARE = 20  # after a save, an export runs at least this many times as long before the next
MOST_OTHERS = 1000  # saved figures of files outside a user's last export: this many, or as many as the export has


class FiguresStore(Protocol):
    """Where the texts are saved. It raises nothing: texts that cannot be read or written count as missing."""

    async def read(self, user_ids: Sequence[str], dialect: bytes) -> list[tuple[str, bytes]]: ...

    async def write(self, texts: Mapping[str, bytes], dialect: bytes) -> None: ...


class SavedFigures:
    """Saves the remembered figures of plans in the background, and loads them again. Close it before the store."""

    def __init__(self, store: FiguresStore, remembered: Remembered, pool: Pool, pause: float = PAUSE) -> None:
        """Texts are made and read in `pool`."""
        self._store = store
        self._remembered = remembered
        self._pool = pool
        self._pause = pause
        self._saving: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def load(self, plan: Plan, figures: Sequence[bytes | None]) -> dict[bytes, bytes]:
        """The saved figures, by key, of each user with files whose figures are not among these, one for each row."""
        loaded: dict[bytes, bytes] = {}
        for folders in _batches(await self._pool.run(_unknown_folders, plan, figures)):
            texts = await self._store.read([folder.user_id for folder in folders], plan.dialect)
            if texts:
                await self._pool.run(_add_all, loaded, texts)
        return loaded

    def save_later(self, plan: Plan) -> None:
        """Save the remembered figures of the plan's files, in the background."""
        self._begin(self._save(plan, plan.folders))

    @contextmanager
    def saving(self, plan: Plan, counts: Counts) -> Iterator[None]:
        """Save the figures of an export that runs inside the block: periodically, as far as the export has come, and
        once more after it. Runs in the background. `counts` are those of the export."""
        ended = asyncio.Event()
        self._begin(self._save_periodically(plan, counts, ended))
        try:
            yield
        finally:
            ended.set()

    async def close(self) -> None:
        """Wait until all is saved."""
        await asyncio.gather(*self._saving)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    async def _save_periodically(self, plan: Plan, counts: Counts, ended: asyncio.Event) -> None:
        first, pause, finished = 0, self._pause, False
        while not finished:
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), pause)
            finished, last, began = ended.is_set(), counts.folder, time.monotonic()
            await self._save(plan, plan.folders[first : last + 1])
            first = last  # again, as more of its files may follow
            pause = max(self._pause, SHARE * (time.monotonic() - began))

    async def _save(self, plan: Plan, folders: Sequence[Folder]) -> None:
        async with self._turn:
            for batch in _batches(folders):
                before = await self._store.read([folder.user_id for folder in batch], plan.dialect)
                if texts := await self._pool.run(self._texts, plan, batch, before):
                    await self._store.write(texts, plan.dialect)

    def _texts(self, plan: Plan, folders: Sequence[Folder], before: Sequence[tuple[str, bytes]]) -> dict[str, bytes]:
        """The new texts, for users whose figures have changed."""
        others: dict[str, dict[bytes, bytes]] = {}
        for user_id, text in before:
            others.setdefault(user_id, {}).update(unpack(text))
        texts = {}
        for folder in folders:
            known = self._known(plan.keys_of(folder))
            old = others.get(folder.user_id, {})
            if any(old.get(key) != figures for key, figures in known.items()):
                most = max(MOST_OTHERS, len(known))
                rest = [item for item in old.items() if item[0] not in known][:most]
                texts[folder.user_id] = pack([*known.items(), *rest])
        return texts

    def _known(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found = zip(keys, self._remembered.all_of(keys), strict=True)
        return {key: figures for key, figures in found if figures is not None}


def _unknown_folders(plan: Plan, figures: Iterable[bytes | None]) -> list[Folder]:
    """The folders with rows whose figures do not suffice."""
    known = map(plan.is_known, figures)
    return [folder for folder in plan.folders if not all(list(islice(known, len(folder.listing.names))))]


def _batches(folders: Iterable[Folder]) -> Iterator[list[Folder]]:
    """The folders in slices of TOGETHER; a slice ends earlier once it has MOST_FILES."""
    batch: list[Folder] = []
    files = 0
    for folder in folders:
        batch.append(folder)
        files += len(folder.listing.names)
        if len(batch) == TOGETHER or files >= MOST_FILES:
            yield batch
            batch, files = [], 0
    if batch:
        yield batch


def _add_all(loaded: dict[bytes, bytes], texts: Iterable[tuple[str, bytes]]) -> None:
    for _, text in texts:
        loaded.update(unpack(text))


def pack(figures: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Keys with their figures as one text."""
    return b"".join(part for key, found in figures for part in (LENGTHS.pack(len(key), len(found)), key, found))


def unpack(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys with their figures again."""
    at = 0
    while at < len(text):
        key_length, length = LENGTHS.unpack_from(text, at)
        middle = at + LENGTHS.size + key_length
        yield text[at + LENGTHS.size : middle], text[middle : middle + length]
        at = middle + length
