"""Figures saved outside the process: who gets which, in which batches, and that they are loaded again."""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence

import pytest

from service.archive import Compression, Folder, Plan, Remembered
from service.archive.counts import Counts
from service.archive.figures import HEAD
from service.archive.plan import key_of
from service.archive.saved_figures import SavedFigures, pack, unpack
from service.pools import Pool
from tests.archive.memory import listing_of


class Texts:
    """A store in memory, which counts the users of each write."""

    def __init__(self) -> None:
        self.saved: dict[str, bytes] = {}
        self.others: list[tuple[str, bytes]] = []  # second texts of users
        self.written: list[int] = []
        self._changed = asyncio.Event()

    async def read(self, user_ids: Sequence[str], dialect: bytes) -> list[tuple[str, bytes]]:
        return [(user_id, text) for user_id, text in [*self.saved.items(), *self.others] if user_id in user_ids]

    async def write(self, texts: Mapping[str, bytes], dialect: bytes) -> None:
        self.written.append(len(texts))
        self.saved |= texts
        self._changed.set()

    def counts(self) -> dict[str, int]:
        """How many figures each user's text has."""
        return {user_id: len(unpack(text)) for user_id, text in self.saved.items()}

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


async def load(saving: SavedFigures, plan: Plan) -> list[bytes | None]:
    """The figures of all rows, of which none is known before."""
    figures: list[bytes | None] = [None] * plan.file_count
    await saving.load(plan, figures)
    return figures


@pytest.mark.parametrize(
    ("counts", "batches"),
    [
        ([user % 3 + 1 for user in range(1200)], [250, 250, 250, 250, 200]),
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
    assert await load(SavedFigures(texts, Remembered(), pool), plan) == list(figures.values())


def test_a_text_holds_keys_and_figures_of_any_lengths() -> None:
    figures = {b"%d" % number: bytes([number]) * (number % 7) for number in range(100)}
    assert unpack(pack(figures.items())) == figures
    assert unpack(pack([])) == {}


def test_texts_of_users_with_small_files_are_much_smaller_than_their_figures() -> None:
    keys = [key_of(bytes(14) + bytes([9, file]), 1000 + file, 10**18 + file, b"dialect.") for file in range(10)]
    figures = [(key, HEAD.pack(file, 400 + file, 1) + hashlib.sha256(key).digest()) for file, key in enumerate(keys)]
    assert len(pack(figures)) < 0.6 * sum(len(key) + len(found) for key, found in figures)


@pytest.mark.parametrize("text", [b"(\0\x35\0\0\0 not compressed", b""])
async def test_a_text_of_an_earlier_release_counts_as_missing_and_is_replaced(pool: Pool, text: bytes) -> None:
    plan, remembered, texts = plan_of_users([1]), Remembered(), Texts()
    texts.saved["0"] = text
    saving = SavedFigures(texts, remembered, pool)
    assert await load(saving, plan) == [None]
    (key,) = plan.keys()
    remembered.put(key, b"figures")
    saving.save_later(plan)
    await saving.close()
    assert await load(SavedFigures(texts, Remembered(), pool), plan) == [b"figures"]


async def test_only_unknown_figures_are_loaded_and_they_are_remembered(pool: Pool) -> None:
    plan, remembered, texts = plan_of_users([2, 1, 1]), Remembered(), Texts()
    keys = list(plan.keys())
    texts.saved = {"0": pack([(keys[0], b"saved"), (keys[1], b"saved")]), "2": pack([(b"of another file", b"saved")])}
    figures: list[bytes | None] = [b"known", None, None, None]
    await SavedFigures(texts, remembered, pool).load(plan, figures)
    assert figures == [b"known", b"saved", None, None]
    assert remembered.get(keys[1]) == b"saved"
    assert remembered.get(b"of another file") is None


async def test_wrong_figures_are_not_loaded_again(pool: Pool) -> None:
    plan, remembered, texts = plan_of_users([2]), Remembered(), Texts()
    keys = list(plan.keys())
    texts.saved = {"0": pack([(key, b"saved") for key in keys])}
    remembered.forget(keys[0])
    assert await load(SavedFigures(texts, remembered, pool), plan) == [None, b"saved"]


async def test_texts_that_two_replicas_wrote_at_once_are_both_loaded(pool: Pool) -> None:
    plan, texts = plan_of_users([2]), Texts()
    keys = list(plan.keys())
    texts.saved = {"0": pack([(keys[0], b"saved")])}
    texts.others = [("0", pack([(keys[1], b"by another")]))]
    assert await load(SavedFigures(texts, Remembered(), pool), plan) == [b"saved", b"by another"]


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
