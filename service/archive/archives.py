"""The archives of a process: their plans, their remembered figures, and the pools in which they are made."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import TypeAlias
from weakref import WeakValueDictionary

from service.archive.archive import Archive
from service.archive.codec import Compression
from service.archive.dialect import dialect_of
from service.archive.layout import Layout
from service.archive.members import Source
from service.archive.part import Part
from service.archive.plan import Folder, Origin, Plan, is_recent
from service.archive.remembered import Remembered
from service.archive.saved_figures import FiguresStore, SavedFigures
from service.archive.sizing import Sizing
from service.archive.snapshots import Snapshots
from service.archive.stream import streamed
from service.pools import Pool, settle

Sources: TypeAlias = Mapping[str, Source]


class Archives:
    def __init__(self, deflate_pool: Pool, export_pool: Pool, files_pool: Pool, store: FiguresStore) -> None:
        """Blocks are made in the first pool, archives are framed in the second, plans are made in the third."""
        self._deflate_pool = deflate_pool
        self._export_pool = export_pool
        self._files_pool = files_pool
        self._dialects: dict[Compression, bytes] = {}
        self._measuring = WeakValueDictionary[str, asyncio.Lock]()  # by tag
        self.remembered = Remembered()
        self.snapshots = Snapshots()
        self._saved = SavedFigures(store, self.remembered, files_pool)

    async def close(self) -> None:
        """Wait until the figures of all exports are saved."""
        await self._saved.close()

    async def plan(self, folders: Sequence[Folder], compression: Compression, origin: Origin | None) -> Plan:
        """The plan of these files, which were just listed; its tag is not revoked. With an `origin`, the archive has a
        manifest."""
        plan = await self._files_pool.run(self._plan, folders, compression, origin)
        while self.snapshots.is_revoked(plan.tag):
            plan = plan.salted()
        return plan

    async def find(self, scope: str, tag: str, current: Plan) -> Plan | None:
        """The plan with this tag, if all of its bytes can still be read from the files as listed in `current`."""
        if tag == current.tag:
            return current
        kept = self.snapshots.find(scope, tag)
        if kept is not None and await self._files_pool.run(kept.continues_in, current):
            return kept
        return None

    async def layout(self, plan: Plan) -> Layout | None:
        """None unless the figures of all members are known, here or in the store."""
        figures = await self._files_pool.run(self.remembered.all_of, plan.keys())
        layout = await self._files_pool.run(_layout, plan, figures)
        if layout is None:
            await self._saved.load(plan, figures)
            layout = await self._files_pool.run(_layout, plan, figures)
        return layout

    async def measure(self, plan: Plan, sources: Sources, patience: float) -> Layout | None:
        """The layout, after measuring and remembering the members whose figures are unknown. None if that takes more
        than `patience` seconds; the next call continues from there.

        Raises Changed or another StoreError if a file has changed since the plan, or cannot be read.
        """
        if (layout := await self.layout(plan)) is not None:
            return layout
        # Requests for ranges of one plan often arrive at once.
        lock = self._measuring.setdefault(plan.tag, asyncio.Lock())
        try:
            async with asyncio.timeout(patience), lock:
                await self._measure_unknown(plan, sources)
        except TimeoutError:
            return None
        finally:
            self._saved.save_later(plan)
        return await self.layout(plan)

    def saving(self, archive: Archive) -> AbstractContextManager[None]:
        """Save the figures of its members while it is sent inside the block; see `SavedFigures.saving`."""
        return self._saved.saving(archive.plan, archive.counts)

    def whole(self, plan: Plan, sources: Sources) -> Archive:
        """An archive of unknown length. Concurrent archives take turns in the pools."""
        return Archive(plan, sources, self._deflate_pool, self.remembered)

    async def part(self, layout: Layout, wanted: range, sources: Sources) -> Part:
        """Bytes of an archive of known length."""
        return await self._files_pool.run(Part, layout, wanted, sources, self._deflate_pool, self.remembered)

    def stream(self, archive: Archive | Part) -> AsyncGenerator[bytes, None]:
        """Its chunks; see `streamed`."""
        return streamed(archive, self._export_pool)

    def _plan(self, folders: Sequence[Folder], compression: Compression, origin: Origin | None) -> Plan:
        if compression not in self._dialects:
            self._dialects[compression] = dialect_of(compression)
        recent = _recent(folders) if origin else frozenset[int]()
        plan = Plan(folders, compression, self._dialects[compression], origin, recent)
        plan.tag  # noqa: B018 - computed in this thread, and kept
        return plan

    async def _measure_unknown(self, plan: Plan, sources: Sources) -> None:
        sizing = Sizing(plan, sources, self._deflate_pool, self.remembered)
        step = self._export_pool.run(sizing.run)
        try:
            await asyncio.shield(step)
        finally:
            sizing.stop()
            await settle(step)


def _layout(plan: Plan, figures: Sequence[bytes | None]) -> Layout | None:
    known = [found for found in figures if found is not None]
    if len(known) < len(figures) or not all(map(plan.is_known, known)):
        return None
    return Layout(plan, known)


def _recent(folders: Sequence[Folder]) -> frozenset[int]:
    now = time.time_ns()
    mtimes_ns = chain.from_iterable(folder.listing.mtimes_ns for folder in folders)
    return frozenset(row for row, mtime_ns in enumerate(mtimes_ns) if is_recent(mtime_ns, now))
