"""Figures saved outside the process: who gets which, in which batches, and that they are loaded again."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import pytest

from service.archive import Compression, Folder, Plan, Remembered
from service.archive.counts import Counts
from service.archive.saved_figures import SavedFigures, unpack
from service.pools import Pool
from tests.archive.memory import listing_of


class Texts:
    """A store in memory, which counts the users of each write."""

    def __init__(self) -> None:
        self.saved: dict[str, bytes] = {}
        self.written: list[int] = []
        self._changed = asyncio.Event()

    async def read(self, user_ids: Sequence[str], dialect: bytes) -> list[tuple[str, bytes]]:
        return [(user_id, self.saved[user_id]) for user_id in user_ids if user_id in self.saved]

    async def write(self, texts: Mapping[str, bytes], dialect: bytes) -> None:
        self.written.append(len(texts))
        self.saved |= texts
        self._changed.set()

    def counts(self) -> dict[str, int]:
        """How many figures each user's text has."""
        return {user_id: len(list(unpack(text))) for user_id, text in self.saved.items()}

    async def counts_at(self, some: dict[str, int]) -> dict[str, int]:
        """The counts as soon as these are among them."""
        async with asyncio.timeout(30):
            while not some.items() <= self.counts().items():
                self._changed.clear()
                await self._changed.wait()
        return self.counts()


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool("files", 1)
    yield made
    made.close()


def plan_of_users(counts: Sequence[int]) -> Plan:
    """Each user has that many files."""
    folders = [
        Folder(f"{user}/", listing_of({f"{user}-{file}": user for file in range(count)}), str(user))
        for user, count in enumerate(counts)
    ]
    return Plan(folders, Compression.FAST, b"dialect.")


@pytest.mark.parametrize(
    ("counts", "batches"),
    [
        ([user % 3 + 1 for user in range(1200)], [500, 500, 200]),
        ([20_000] * 4, [3, 1]),
        ([60_000, 1, 1], [1, 2]),
    ],
)
async def test_each_users_figures_are_saved_in_batches_and_loaded_again(
    pool: Pool, counts: list[int], batches: list[int]
) -> None:
    plan, remembered, texts = plan_of_users(counts), Remembered(), Texts()
    figures = {key: key[:20] for key in list(plan.keys())}
    for key, found in figures.items():
        remembered.put(key, found)
    saving = SavedFigures(texts, remembered, pool)
    saving.save_later(plan)
    await saving.close()
    assert texts.written == batches
    assert texts.counts() == {str(user): count for user, count in enumerate(counts)}
    assert await SavedFigures(texts, Remembered(), pool).load(plan, [None] * plan.file_count) == figures


async def test_unchanged_figures_are_not_written_again(pool: Pool) -> None:
    plan, remembered, texts = plan_of_users([2]), Remembered(), Texts()
    for key in list(plan.keys()):
        remembered.put(key, b"figures")
    for _ in range(2):
        saving = SavedFigures(texts, remembered, pool)
        saving.save_later(plan)
        await saving.close()
    assert texts.written == [1]


async def test_figures_of_a_running_export_are_saved_as_far_as_it_has_come(pool: Pool) -> None:
    plan, remembered, texts = plan_of_users([2, 1, 3, 1]), Remembered(), Texts()
    keys, counts = list(plan.keys()), Counts(len(plan.folders))
    saving = SavedFigures(texts, remembered, pool, pause=0.001)
    with saving.saving(plan, counts):
        for key in keys[:5]:
            remembered.put(key, b"figures")
        counts.add_bytes(1, 100)
        assert await texts.counts_at({"1": 1}) == {"0": 2, "1": 1}
        counts.add_bytes(2, 100)
        assert await texts.counts_at({"2": 2}) == {"0": 2, "1": 1, "2": 2}
        for key in keys[5:]:
            remembered.put(key, b"figures")
        assert await texts.counts_at({"2": 3}) == {"0": 2, "1": 1, "2": 3}
        counts.add_bytes(3, 100)
    await saving.close()
    assert texts.counts() == {"0": 2, "1": 1, "2": 3, "3": 1}
