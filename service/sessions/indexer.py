"""Keeps the table `session_index` true to the session files: in rounds in the background, and at once for a request.

- Each file first gets a row, then its facts. Both steps compare the files with the rows that are there: a restart goes
  on where the last process was, and one that was killed has lost nothing but work.
- The background has a thread of its own, which gives way to transfers. A request that waits is served by the pool for
  files, at full speed.
"""

import asyncio
import hashlib
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from service.catalog import CatalogError, Index, IndexRow, User
from service.pools import Pool
from service.sessions.background import Background, Stopped
from service.sessions.folders import TOGETHER, Folders, batches
from service.sessions.reading import Reader, file_state
from service.store import Listing, NotFound, NotRegular, StoreError, StoreUnavailable

log = logging.getLogger(__name__)

AT_ONCE = 4  # threads of the pool for files that list for one request
SLICE = 1  # seconds of reading after which rows are written
MOST_ROWS = 500  # that are written at once
QUICK = 0.05  # seconds of listing that also a request waits for which could do without


class NotIndexedInTime(Exception):
    """What was asked for needs facts of files that could not be read within `index.patience`."""


@dataclass(eq=False, slots=True)
class Seen:
    """What a user's files were like when the index was true of them: a digest of their listing, the store's state."""

    digest: bytes = b""
    state: object = None


@dataclass(eq=False, slots=True)
class Tracked:
    """When each of a user's files had a row, and when each had been read."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
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
        """Rounds, one every `interval` seconds, until the background stops. `leads`: whether this replica does them."""
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
        for some in batches(users, TOGETHER):
            changed += await background.pool.run(self._changed, some, background.rest)
        self._listing_took = time.perf_counter() - began
        for facts in (False, True):
            for user in changed:
                try:
                    await self._update(user, facts=facts, pool=background.pool, pause=background.rest)
                except StoreUnavailable as error:
                    self._log_once(f"index: the files of user {user.id!r} cannot be listed: {error.__cause__ or error}")
        await self._index.forget_users_except(user.id for user in users)

    async def refresh(self, users: Sequence[User], *, facts: bool) -> None:
        """Return once each file of these users that is there now has a row, with `facts` one that was read.

        Raises NotIndexedInTime, StoreUnavailable or CatalogError.
        """
        pause = partial(_stop_at, time.monotonic() + self._patience)
        self._background.waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                unsure = await self._pool.run(self._unsure, users, facts=facts)
                for some in batches(list(batches(unsure, TOGETHER)), AT_ONCE):
                    work = [self._pool.run(self._changed, part, pause, facts=facts) for part in some]
                    for user in chain(*await asyncio.gather(*work)):
                        await self._update(user, facts=facts, pool=self._pool, pause=pause)
        except TimeoutError:
            raise NotIndexedInTime from None
        finally:
            self._background.waiting -= 1

    @property
    def lists_quickly(self) -> bool:
        """Whether all users' files are so few that a request can wait for their listing though it need not."""
        return self._listing_took < QUICK

    async def _update(self, user: User, *, facts: bool, pool: Pool, pause: Callable[[], None]) -> None:
        tracked = self._tracked.setdefault(user.id, Tracked())
        async with tracked.lock:
            state, listing = await pool.run(self._look_at, user)
            seen = Seen(_digest(listing), state)
            unread = await self._write_rows(user, listing)
            tracked.listed = seen
            if facts and await self._read_all(user, unread, pool, pause):
                tracked.read = seen

    async def _write_rows(self, user: User, listing: Listing) -> deque[str]:
        """Give each file a row, and forget those that are gone; returns the names of the files that must be read."""
        known = await self._index.known(user.id)
        rows, unread = [], deque[str]()
        states = map(file_state, listing.sizes, listing.mtimes_ns, listing.identities)
        for name, state in zip(listing.names, states, strict=True):
            before, was_read = known.pop(name, (None, False))
            if before != state:
                rows.append(IndexRow(name, state, None))
            if before != state or not was_read:
                unread.append(name)
        for some in batches(rows, MOST_ROWS):
            await self._index.replace(user.id, some)
        if known:
            await self._index.replace(user.id, [], known)
        return unread

    async def _read_all(self, user: User, unread: deque[str], pool: Pool, pause: Callable[[], None]) -> bool:
        """Read these files; returns whether all could be read."""
        all_read = True
        while unread:
            rows, failed = await pool.run(self._read_some, user, unread, pause)
            await self._index.replace(user.id, rows)
            all_read = all_read and not failed
        return all_read

    def _unsure(self, users: Sequence[User], *, facts: bool) -> list[User]:
        """Those of whose files the store cannot tell that none changed. In a thread."""
        return [user for user in users if not self._is_unchanged(user, facts=facts)]

    def _is_unchanged(self, user: User, *, facts: bool) -> bool:
        tracked = self._tracked.get(user.id)
        known = tracked and tracked.seen(facts=facts).state
        return known is not None and known == self._folders.state(user)

    def _changed(self, users: Sequence[User], pause: Callable[[], None], *, facts: bool = True) -> list[User]:
        """Those of whose files not all have rows, or were read, as a listing of each shows. In a thread."""
        changed = []
        for user in users:
            pause()
            state, listing = self._look_at(user)
            tracked = self._tracked.get(user.id)
            if tracked is None or (seen := tracked.seen(facts=facts)).digest != _digest(listing):
                changed.append(user)
            else:
                seen.state = state  # at the next request the listing can be spared
        return changed

    def _look_at(self, user: User) -> tuple[object, Listing]:
        """The state comes first: what changes while the files are listed must be seen again."""
        return self._folders.state(user), self._folders.list(user)

    def _read_some(self, user: User, unread: deque[str], pause: Callable[[], None]) -> tuple[list[IndexRow], bool]:
        """Read for a while, taking names off `unread`; returns rows, and whether a file could not be read."""
        rows: list[IndexRow] = []
        failed = False
        began = time.monotonic()
        files = self._folders.open(user)
        try:
            while unread and len(rows) < MOST_ROWS and time.monotonic() - began < SLICE:
                name = unread.popleft()
                try:
                    state, facts = self._reader.read(user.id, files, name, pause)
                    rows.append(IndexRow(name, state, facts))
                except (NotFound, NotRegular):
                    continue  # gone since it was listed
                except StoreUnavailable:
                    raise
                except StoreError as error:
                    failed = True
                    self._log_once(f"index: {name} of user {user.id!r}: {error} {error.__cause__ or ''}")
        finally:
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
    """Another whenever a file came, went or changed."""
    digest = hashlib.blake2b("/".join(listing.names).encode(), digest_size=16)
    digest.update(listing.sizes)
    digest.update(listing.mtimes_ns)
    for identity in listing.identities:
        digest.update(identity)
    return digest.digest()
