"""Figures saved outside the process, one compressed text for each user, so that neither another replica nor this one
after a restart has to measure exported files again.
"""

import asyncio
import time
import zlib
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from struct import Struct
from typing import Protocol

from isal import isal_zlib

from service.archive.counts import Counts
from service.archive.plan import Plan
from service.archive.remembered import Remembered
from service.pools import Pool

ALIKE = Struct("<IHI")  # how many entries of the same lengths follow, and the lengths of key and figures
TOGETHER = 250  # users whose texts are in memory at once, at most
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

    async def load(self, plan: Plan, figures: list[bytes | None]) -> None:
        """Fill in the saved figures of rows whose figures do not suffice, and remember them."""
        for batch in _batches(plan, await self._pool.run(_unknown_folders, plan, figures)):
            texts = await self._store.read(_user_ids(plan, batch), plan.dialect)
            if texts:
                await self._pool.run(self._fill_in, plan, batch, texts, figures)

    def save_later(self, plan: Plan) -> None:
        """Save the remembered figures of the plan's files, in the background."""
        self._begin(self._save(plan, range(len(plan.folders))))

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
            await self._save(plan, range(first, last + 1))
            first = last  # again, as more of its files may follow
            pause = max(self._pause, SHARE * (time.monotonic() - began))

    async def _save(self, plan: Plan, folders: Iterable[int]) -> None:
        async with self._turn:
            for batch in _batches(plan, folders):
                before = await self._store.read(_user_ids(plan, batch), plan.dialect)
                if texts := await self._pool.run(self._texts, plan, batch, before):
                    await self._store.write(texts, plan.dialect)

    def _texts(self, plan: Plan, folders: Sequence[int], before: Sequence[tuple[str, bytes]]) -> dict[str, bytes]:
        """The new texts, for users whose figures have changed."""
        saved = _by_user(before)
        texts = {}
        for folder in map(plan.folders.__getitem__, folders):
            known = self._known(plan.keys_of(folder))
            old = unpack_all(saved.get(folder.user_id, ()))
            if any(old.get(key) != figures for key, figures in known.items()):
                most = max(MOST_OTHERS, len(known))
                rest = [item for item in old.items() if item[0] not in known][:most]
                texts[folder.user_id] = pack([*known.items(), *rest])
        return texts

    def _fill_in(
        self, plan: Plan, folders: Sequence[int], texts: Sequence[tuple[str, bytes]], figures: list[bytes | None]
    ) -> None:
        saved = _by_user(texts)
        for index in folders:
            keys = plan.keys_of(plan.folders[index])
            found = unpack_all(saved.get(plan.folders[index].user_id, ()))
            added = self._remembered.add_saved({key: found[key] for key in keys if key in found})
            for row, key in zip(plan.rows_of(index), keys, strict=True):
                if not plan.is_known(figures[row]):
                    figures[row] = added.get(key, figures[row])

    def _known(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found = zip(keys, self._remembered.all_of(keys), strict=True)
        return {key: figures for key, figures in found if figures is not None}


def _unknown_folders(plan: Plan, figures: Iterable[bytes | None]) -> list[int]:
    """The folders with rows whose figures do not suffice."""
    known = map(plan.is_known, figures)
    return [
        index for index, folder in enumerate(plan.folders) if not all(list(islice(known, len(folder.listing.names))))
    ]


def _batches(plan: Plan, folders: Iterable[int]) -> Iterator[list[int]]:
    """The folders in slices of TOGETHER; a slice ends earlier once it has MOST_FILES."""
    batch: list[int] = []
    files = 0
    for folder in folders:
        batch.append(folder)
        files += len(plan.folders[folder].listing.names)
        if len(batch) == TOGETHER or files >= MOST_FILES:
            yield batch
            batch, files = [], 0
    if batch:
        yield batch


def _user_ids(plan: Plan, folders: Iterable[int]) -> list[str]:
    return [plan.folders[folder].user_id for folder in folders]


def _by_user(texts: Iterable[tuple[str, bytes]]) -> dict[str, list[bytes]]:
    """The texts of each user: one, or several if replicas wrote at the same time."""
    by_user: dict[str, list[bytes]] = {}
    for user_id, text in texts:
        by_user.setdefault(user_id, []).append(text)
    return by_user


def pack(figures: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Keys with their figures as one compressed text. Entries of the same lengths are stored together, the first bytes
    of all of them, then the second bytes, and so on: most of these differ little."""
    alike: dict[tuple[int, int], list[bytes]] = {}
    for key, found in figures:
        alike.setdefault((len(key), len(found)), []).append(key + found)
    parts = []
    for lengths, entries in alike.items():
        columns = bytearray(len(entries) * sum(lengths))
        for number, entry in enumerate(entries):
            columns[number :: len(entries)] = entry
        parts += [ALIKE.pack(len(entries), *lengths), bytes(columns)]
    return isal_zlib.compress(b"".join(parts))


def unpack(text: bytes) -> dict[bytes, bytes]:
    """The figures by key again. Texts of earlier releases, which were not compressed, have none."""
    try:
        parts = zlib.decompress(text)
    except zlib.error:
        return {}
    figures = {}
    at = 0
    while at < len(parts):
        count, key_length, length = ALIKE.unpack_from(parts, at)
        at += ALIKE.size
        columns = parts[at : at + count * (key_length + length)]
        at += len(columns)
        for number in range(count):
            entry = columns[number::count]
            figures[entry[:key_length]] = entry[key_length:]
    return figures


def unpack_all(texts: Iterable[bytes]) -> dict[bytes, bytes]:
    """The figures of all of these texts."""
    return {key: figures for text in texts for key, figures in unpack(text).items()}
