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
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import TypeAlias

from service.catalog import CatalogError, FileState, Index, IndexRow, RowsChanged, User
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

Unread: TypeAlias = dict[str, FileState]  # the versions of the files to be read, by name


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
    """The versions of a user's files for which all rows were written, and for which all files were read.

    `failures` are of the latest attempt: messages by the name of the file that cannot be read, or by "" if the files
    cannot be listed.
    """

    listing: asyncio.Lock = field(default_factory=asyncio.Lock)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)  # taken before `listing`; no list waits for it
    listed: Seen = field(default_factory=Seen)
    read: Seen = field(default_factory=Seen)
    failures: dict[str, str] = field(default_factory=dict)

    def seen(self, *, facts: bool) -> Seen:
        return self.read if facts else self.listed

    def set_failures(self, failures: dict[str, str]) -> None:
        """Log those that the attempt before did not have, so that each is logged once, not in each round."""
        for name, message in failures.items():
            if self.failures.get(name) != message:
                log.warning("index: %s", message)
        self.failures = failures


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

    @property
    def failures(self) -> int:
        """How many files cannot be read, and users' directories cannot be listed."""
        return sum(len(tracked.failures) for tracked in self._tracked.values())

    async def run(self, interval: float, leads: Callable[[], Awaitable[bool]]) -> None:
        """Run a round every `interval` seconds until the background stops. `leads` returns whether this replica does
        the rounds."""
        self._listing_took = math.inf  # until the first round has shown how long it takes
        failure = ""
        while True:
            began = time.monotonic()
            try:
                if await leads():
                    await self.round()
                failure = ""
            except Stopped:
                return
            except (CatalogError, StoreError) as error:
                if str(error) != failure:
                    log.warning("index: a round ended early: %s", error)
                failure = str(error)
            await asyncio.sleep(max(interval - (time.monotonic() - began), interval / 10))

    async def round(self) -> None:
        """Bring the whole index up to date. Raises CatalogError."""
        background, users = self._background, await self._folders.users()
        changed: list[User] = []
        unknown = await self._unknown(users)
        began = time.perf_counter()
        for batch in batches(users, TOGETHER):
            changed += await background.pool.run(self._changed, batch, unknown, background.rest)
        self._listing_took = time.perf_counter() - began
        for facts in (False, True):
            for user in changed:
                try:
                    await self._update(user, facts=facts, pool=background.pool, pause=background.rest)
                except StoreUnavailable as error:
                    message = f"the files of user {user.id!r} cannot be listed: {error.__cause__ or error}"
                    self._tracked[user.id].set_failures({"": message})
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
                unknown = await self._unknown(possibly_changed)
                for group in batches(list(batches(possibly_changed, TOGETHER)), AT_ONCE):
                    work = [self._pool.run(self._changed, batch, unknown, pause, facts=facts) for batch in group]
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
        if self._listing_took >= QUICK:
            unknown = await self._unknown(users)
            users = [user for user in users if user.id in unknown]
        await self.refresh(users, facts=False)

    async def _unknown(self, users: Sequence[User]) -> set[str]:
        """The ids of the users whose files were never listed: all users of a new catalog, and new users."""
        new = {user.id for user in users if not ((tracked := self._tracked.get(user.id)) and tracked.listed.digest)}
        return new - await self._index.user_ids() if new else new

    async def _update(self, user: User, *, facts: bool, pool: Pool, pause: Callable[[], None]) -> None:
        tracked = self._tracked.setdefault(user.id, Tracked())
        while True:
            with suppress(RowsChanged):  # by another replica, which may have listed the files later: list them again
                if facts:
                    await self._update_facts(user, tracked, pool, pause)
                else:
                    await self._update_rows(user, tracked, pool)
                return

    async def _update_facts(self, user: User, tracked: Tracked, pool: Pool, pause: Callable[[], None]) -> None:
        async with tracked.reading:
            seen, unread = await self._update_rows(user, tracked, pool)
            failures = await self._read_all(user, unread, pool, pause)
            tracked.set_failures(failures)
            if not failures:
                tracked.read = seen

    async def _update_rows(self, user: User, tracked: Tracked, pool: Pool) -> tuple[Seen, Unread]:
        """List the files and bring the rows up to date; returns the version that was listed, and the files to read."""
        async with tracked.listing:
            known = await self._index.known(user.id)  # first: a row that is written during the listing must stay
            state, listing = await pool.run(self._list_with_state, user)
            unread = await self._write_rows(user, listing, known)
            tracked.listed = Seen(_digest(listing), state)
            return tracked.listed, unread

    async def _write_rows(self, user: User, listing: Listing, known: dict[str, tuple[FileState, bool]]) -> Unread:
        """Write a row for each file, and delete those of missing files; returns the files to read."""
        rows, unread, replaced = [], Unread(), {}
        states = map(file_state, listing.sizes, listing.mtimes_ns, listing.identities)
        for name, state in zip(listing.names, states, strict=True):
            before, was_read = known.pop(name, (None, False))
            if before != state:
                rows.append(IndexRow(name, state, None))
                if before is not None:
                    replaced[name] = before
            if before != state or not was_read:
                unread[name] = state
        replaced |= {name: before for name, (before, _) in known.items()}
        if rows or replaced:
            await self._index.replace(user.id, rows, replaced)
        return unread

    async def _read_all(self, user: User, unread: Unread, pool: Pool, pause: Callable[[], None]) -> dict[str, str]:
        """Read these files; returns why some could not be read, by name."""
        failures: dict[str, str] = {}
        names = deque(unread)
        while names:
            rows = await pool.run(self._read_some, user, unread, names, failures, pause)
            await self._index.replace(user.id, rows, {row.session_file: unread[row.session_file] for row in rows})
        return failures

    def _possibly_changed(self, users: Sequence[User], *, facts: bool) -> list[User]:
        """The users for whom the store cannot rule out that a file has changed. Runs in a thread."""
        return [user for user in users if not self._is_unchanged(user, facts=facts)]

    def _is_unchanged(self, user: User, *, facts: bool) -> bool:
        tracked = self._tracked.get(user.id)
        known = tracked and tracked.seen(facts=facts).state
        return known is not None and known == self._folders.state(user)

    def _changed(
        self, users: Sequence[User], unknown: set[str], pause: Callable[[], None], *, facts: bool = True
    ) -> list[User]:
        """The users with files that, by a new listing, have no row yet or were not read yet. `unknown` are the ids of
        users without rows. Runs in a thread."""
        changed = []
        with closing(self._folders.list_all(users)) as listings:
            for user in users:
                pause()
                state = self._folders.state(user)  # first: a change during the listing must make the state outdated
                listing = next(listings)
                digest = _digest(listing)
                tracked = self._tracked.get(user.id)
                if tracked is None and user.id in unknown and not listing.names:  # no file, no row: nothing to compare
                    seen = Seen(digest, state)
                    self._tracked.setdefault(user.id, Tracked(listed=seen, read=seen))
                elif tracked is None or (seen := tracked.seen(facts=facts)).digest != digest:
                    changed.append(user)
                else:
                    seen.state = state  # the next request needs no listing
        return changed

    def _list_with_state(self, user: User) -> tuple[object, Listing]:
        """The state is read first: a change during the listing must make the state outdated."""
        return self._folders.state(user), self._folders.list(user)

    def _read_some(
        self, user: User, unread: Unread, names: deque[str], failures: dict[str, str], pause: Callable[[], None]
    ) -> list[IndexRow]:
        """Read files for up to SLICE seconds, removing them from `names`; returns the rows, and adds to `failures`."""
        rows: list[IndexRow] = []
        began = time.monotonic()
        files = self._folders.open(user)
        some = [(name, unread[name]) for name in islice(names, MOST_ROWS)]
        reads = files.prefetch(announced_reads(files, some))
        announced = Announced(reads, 0) if reads else None
        try:
            while names and len(rows) < MOST_ROWS and time.monotonic() - began < SLICE:
                name = names.popleft()
                try:
                    state, facts = self._reader.read(user.id, files, name, announced, pause)
                    rows.append(IndexRow(name, state, facts))
                except (NotFound, NotRegular):
                    continue  # gone since it was listed
                except StoreUnavailable:
                    raise
                except StoreError as error:
                    failures[name] = f"{name} of user {user.id!r}: {error} {error.__cause__ or ''}"
        finally:
            if reads:
                reads.close()
            files.close()
        return rows


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
