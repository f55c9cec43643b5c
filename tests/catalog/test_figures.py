"""What exported files came to, kept in the catalog."""

from service.catalog import Database
from service.catalog.figures import Figures

DIALECT, OTHER = b"dialect.", b"another!"


async def test_what_was_written_is_read_and_replaced(database: Database) -> None:
    figures = Figures(database)
    assert await figures.read(["u-1", "u-2"], DIALECT) == []
    await figures.write({"u-1": bytes(range(256)), "ü 'x'": b"", "u-3": b"three"}, DIALECT)
    await figures.write({"u-1": b"other"}, OTHER)
    found = dict(await figures.read(["u-1", "ü 'x'", "u-2"], DIALECT))
    assert found == {"u-1": bytes(range(256)), "ü 'x'": b""}
    await figures.write({"u-1": b"new"}, DIALECT)
    assert await figures.read(["u-1"], DIALECT) == [("u-1", b"new")]
    assert await figures.read(["u-1"], OTHER) == [("u-1", b"other")]


async def test_ten_thousand_users_are_written_at_once(database: Database) -> None:
    figures = Figures(database)
    texts = {f"u-{n}": b"%d" % n for n in range(10_000)}
    for _ in range(2):
        await figures.write(texts, DIALECT)
    assert dict(await figures.read(list(texts), DIALECT)) == texts
