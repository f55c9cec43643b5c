"""Add users to the catalog of a configuration, without a service."""

from collections.abc import Sequence

from service.catalog import User, Users, open_catalog
from service.cli.user_file import FileUser
from service.config import Settings
from service.pools import Pool


async def import_users(users: Sequence[FileUser], settings: Settings) -> tuple[int, int]:
    """Add all users or none. Return how many were added, and how many existed. Raises CatalogError."""
    database = await open_catalog(settings.catalog, Pool("catalog", 1))
    try:
        return await Users(database).add(User(user.id, user.email, user.name) for user in users)
    finally:
        database.close()
