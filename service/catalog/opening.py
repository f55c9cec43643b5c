"""Chooses the engine of the catalog and opens it."""

from service.catalog.database import CatalogUnusable, Database
from service.catalog.duckdb import DuckdbDatabase
from service.config import Catalog
from service.pools import Pool


async def open_catalog(settings: Catalog, pool: Pool) -> Database:
    """Open the catalog at `catalog.url`, which takes over `pool` and closes it. Raises CatalogUnusable."""
    try:
        return await pool.run(_open, settings, pool)
    except BaseException:
        pool.close()
        raise


def _open(settings: Catalog, pool: Pool) -> Database:
    if settings.file is not None:
        return DuckdbDatabase(settings.file, pool, settings.memory_limit)
    try:
        from service.catalog.postgres import PostgresDatabase  # noqa: PLC0415 - needs psycopg, an extra
    except ModuleNotFoundError as error:
        raise CatalogUnusable(
            f"catalog {settings.shown}: PostgreSQL needs a package more: pip install 'session-export[postgres]' "
            f"({error})"
        ) from None
    return PostgresDatabase(settings.url, settings.shown, pool)
