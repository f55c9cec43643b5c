import pytest

from service.catalog import CatalogError, Database, User, Users
from tests.engines import both_engines

pytestmark = both_engines


async def test_users_are_added_all_or_none(database: Database) -> None:
    users = Users(database)
    assert await users.add([User("a", "a@x", None), User("b", "b@x", "B")]) == (2, 0)
    assert await users.add([User("a", "new@x", None), User("c", "c@x", None)]) == (1, 1)
    with pytest.raises(CatalogError, match="'b@x' belongs to 'b'"):
        await users.add([User("d", "d@x", None), User("e", "b@x", None)])
    assert await users.find("d") is None
    assert await users.find("a") == User("a", "a@x", None)


async def test_the_list_of_all_users_follows_each_change(database: Database) -> None:
    users = Users(database)
    await users.add([User("a", "a@x", None), User("b", "b@x", "B")])
    assert await users.all() == [User("a", "a@x", None), User("b", "b@x", "B")]
    await database.query("UPDATE users SET active = FALSE, name = 'A' WHERE id = 'a'")
    assert await users.all() == [User("a", "a@x", "A", active=False), User("b", "b@x", "B")]
    await database.query("DELETE FROM users WHERE id = 'b'")
    (await users.all()).clear()
    assert await users.all() == [User("a", "a@x", "A", active=False)]
