"""Keeps the table `session_index` up to date with the session files: in background rounds, and on demand for a request.

- Each file first gets a row, then its facts. Both steps compare the files with the existing rows, so indexing continues
  after a restart or a kill where it ended.
- The background has its own thread, which yields to transfers. For a request that waits, the pool for file work indexes
  at full speed.
"""

import asyncio
import hashlib
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import TypeAlias

from service.catalog import CatalogError, FileState, Index, IndexRow, User
from service.pools import Pool
from service.sessions.background import Background, Stopped
from service.sessions.folders import TOGETHER, Folders, batches
from service.sessions.reading import Reader, announced_reads, file_state
from service.store import Announced, Listing, NotFound, NotRegular, StoreError, StoreUnavailable

log = logging.getLogger(__name__)

AT_ONCE = 4  # threads of the pool that list files for one request
SLICE = 1  # seconds of reading after which rows are written
MOST_ROWS = 5000  # rows of one write; each write outdates the user's cached list, so small ones are avoided
QUICK = 0.05  # seconds; if listing all users takes less, each list waits for it and so misses no file

Unread: TypeAlias = deque[tuple[str, FileState]]  # files to be read, by name


class NotIndexedInTime(Exception):
    """The request needs facts of files that could not be read within `index.patience`."""


@dataclass(eq=False, slots=True)
class Seen:
    """The version of a user's files for which the index was up to date: the digest of their listing, and the state of
    their directories (see `Folders.state`)."""

    digest: bytes = b""
    state: object = None


@dataclass(eq=False, slots=True)
class Tracked:
    """The versions of a user's files for which all rows were written, and for which all files were read."""

    listing: asyncio.Lock = field(default_factory=asyncio.Lock)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)  # taken before `listing`; no list waits for it
    listed: Seen = field(default_factory=Seen)
    read: Seen = field(default_factory=Seen)

    def seen(self, *, facts: bool) -> Seen:
        return self.read if facts else self.listed


class Indexer:
    def __init__(
        self,
        folders: Folders,
        index: Index,
        background: Background,
        pool: Pool,
        patience: float,
    ) -> None:
        """`pool` is the one for file work; `patience` is how many seconds a request waits at most."""
        self._folders = folders
        self._index = index
        self._background = background
        self._pool = pool
        self._patience = patience
        self._listing_took = 0.0  # seconds, the last time, of all users; without rounds only requests list them
        self._reader = Reader()
        self._tracked: dict[str, Tracked] = {}  # by the user's id
        self._logged: set[str] = set()  # failures, so that each is logged once

    async def run(self, interval: float, leads: Callable[[], Awaitable[bool]]) -> None:
        """Run a round every `interval` seconds until the background stops. `leads` returns whether this replica does
        the rounds."""
        self._listing_took = math.inf  # until the first round has shown how long it takes
        while True:
            began = time.monotonic()
            try:
                if await leads():
                    await self.round()
            except Stopped:
                return
            except (CatalogError, StoreError) as error:
                self._log_once(f"index: a round ended early: {error}")
            await asyncio.sleep(max(interval - (time.monotonic() - began), interval / 10))

    async def round(self) -> None:
        """Bring the whole index up to date. Raises CatalogError."""
        background, users = self._background, await self._folders.users()
        changed: list[User] = []
        began = time.perf_counter()
        for batch in batches(users, TOGETHER):
            changed += await background.pool.run(self._changed, batch, background.rest)
        self._listing_took = time.perf_counter() - began
        for facts in (False, True):
            for user in changed:
                try:
                    await self._update(user, facts=facts, pool=background.pool, pause=background.rest)
                except StoreUnavailable as error:
                    self._log_once(f"index: the files of user {user.id!r} cannot be listed: {error.__cause__ or error}")
        for user_id in await self._index.forget_missing_users():
            self._tracked.pop(user_id, None)  # a user who comes back has no rows

    async def refresh(self, users: Sequence[User], *, facts: bool) -> None:
        """Return once each file that these users now have has a row, and with `facts` has been read too.

        Raises NotIndexedInTime, StoreUnavailable or CatalogError.
        """
        if not users:
            return
        pause = partial(_stop_at, time.monotonic() + self._patience)
        self._background.waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                possibly_changed = await self._pool.run(self._possibly_changed, users, facts=facts)
                for group in batches(list(batches(possibly_changed, TOGETHER)), AT_ONCE):
                    work = [self._pool.run(self._changed, batch, pause, facts=facts) for batch in group]
                    for user in chain(*await asyncio.gather(*work)):
                        await self._update(user, facts=facts, pool=self._pool, pause=pause)
        except TimeoutError:
            raise NotIndexedInTime from None
        finally:
            self._background.waiting -= 1

    async def refresh_list(self, users: Sequence[User]) -> None:
        """The same for a list without a filter, which need not be complete: files that came since the last round may
        have no row, unless listing all users is quick. Raises what `refresh` raises.
        """
        await self.refresh(users if self._listing_took < QUICK else await self._never_listed(users), facts=False)

    async def _never_listed(self, users: Sequence[User]) -> list[User]:
        """The users whose files were never listed: all users of a new catalog, and new users."""
        new = [user for user in users if not ((tracked := self._tracked.get(user.id)) and tracked.listed.digest)]
        listed_before = await self._index.user_ids() if new else set()
        return [user for user in new if user.id not in listed_before]

    async def _update(self, user: User, *, facts: bool, pool: Pool, pause: Callable[[], None]) -> None:
        tracked = self._tracked.setdefault(user.id, Tracked())
        if not facts:
            await self._update_rows(user, tracked, pool)
            return
        async with tracked.reading:
            seen, unread = await self._update_rows(user, tracked, pool)
            if await self._read_all(user, unread, pool, pause):
                tracked.read = seen

    async def _update_rows(self, user: User, tracked: Tracked, pool: Pool) -> tuple[Seen, Unread]:
        """List the files and bring the rows up to date; returns the version that was listed, and the files to read."""
        async with tracked.listing:
            state, listing = await pool.run(self._list_with_state, user)
            unread = await self._write_rows(user, listing)
            tracked.listed = Seen(_digest(listing), state)
            return tracked.listed, unread

    async def _write_rows(self, user: User, listing: Listing) -> Unread:
        """Write a row for each file, and delete those of missing files; returns the files to read."""
        known = await self._index.known(user.id)
        rows, unread = [], Unread()
        states = map(file_state, listing.sizes, listing.mtimes_ns, listing.identities)
        for name, state in zip(listing.names, states, strict=True):
            before, was_read = known.pop(name, (None, False))
            if before != state:
                rows.append(IndexRow(name, state, None))
            if before != state or not was_read:
                unread.append((name, state))
        if rows or known:
            await self._index.replace(user.id, rows, known)
        return unread

    async def _read_all(self, user: User, unread: Unread, pool: Pool, pause: Callable[[], None]) -> bool:
        """Read these files; returns whether all could be read."""
        all_read = True
        while unread:
            rows, failed = await pool.run(self._read_some, user, unread, pause)
            await self._index.replace(user.id, rows)
            all_read = all_read and not failed
        return all_read

    def _possibly_changed(self, users: Sequence[User], *, facts: bool) -> list[User]:
        """The users for whom the store cannot rule out that a file has changed. Runs in a thread."""
        return [user for user in users if not self._is_unchanged(user, facts=facts)]

    def _is_unchanged(self, user: User, *, facts: bool) -> bool:
        tracked = self._tracked.get(user.id)
        known = tracked and tracked.seen(facts=facts).state
        return known is not None and known == self._folders.state(user)

    def _changed(self, users: Sequence[User], pause: Callable[[], None], *, facts: bool = True) -> list[User]:
        """The users with files that, by a new listing, have no row yet or were not read yet. Runs in a thread."""
        changed = []
        with closing(self._folders.list_all(users)) as listings:
            for user in users:
                pause()
                state = self._folders.state(user)  # first: a change during the listing must make the state outdated
                listing = next(listings)
                tracked = self._tracked.get(user.id)
                if tracked is None or (seen := tracked.seen(facts=facts)).digest != _digest(listing):
                    changed.append(user)
                else:
                    seen.state = state  # the next request needs no listing
        return changed

    def _list_with_state(self, user: User) -> tuple[object, Listing]:
        """The state is read first: a change during the listing must make the state outdated."""
        return self._folders.state(user), self._folders.list(user)

    def _read_some(self, user: User, unread: Unread, pause: Callable[[], None]) -> tuple[list[IndexRow], bool]:
        """Read files for up to SLICE seconds, removing them from `unread`; returns the rows, and whether a file could
        not be read."""
        rows: list[IndexRow] = []
        failed = False
        began = time.monotonic()
        files = self._folders.open(user)
        reads = files.prefetch(announced_reads(files, tuple(islice(unread, MOST_ROWS))))
        announced = Announced(reads, 0) if reads else None
        try:
            while unread and len(rows) < MOST_ROWS and time.monotonic() - began < SLICE:
                name, _ = unread.popleft()
                try:
                    state, facts = self._reader.read(user.id, files, name, announced, pause)
                    rows.append(IndexRow(name, state, facts))
                except (NotFound, NotRegular):
                    continue  # gone since it was listed
                except StoreUnavailable:
                    raise
                except StoreError as error:
                    failed = True
                    self._log_once(f"index: {name} of user {user.id!r}: {error} {error.__cause__ or ''}")
        finally:
            if reads:
                reads.close()
            files.close()
        return rows, failed

    def _log_once(self, message: str) -> None:
        if message not in self._logged:
            self._logged.add(message)
            log.warning("%s", message)


def _stop_at(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise NotIndexedInTime


def _digest(listing: Listing) -> bytes:
    """A digest that changes whenever a file is added, removed or changed."""
    digest = hashlib.blake2b("/".join(listing.names).encode(), digest_size=16)
    digest.update(listing.sizes)
    digest.update(listing.mtimes_ns)
    for identity in listing.identities:
        digest.update(identity)
    return digest.digest()
