"""Copy one catalog into another."""

from collections.abc import Callable

from pydantic import ValidationError

from service.catalog import CatalogError, open_catalog
from service.catalog.copy import Copied, copy_catalog
from service.config import Catalog
from service.pools import Pool


async def copy_between(source: str, target: str, report: Callable[[Copied], None]) -> None:
    """Copy the catalog at one URL into the one at another. Raises CatalogError."""
    origin, destination = _settings("--from", source), _settings("--to", target)
    if origin.shown == destination.shown and source == target:
        raise CatalogError("--from and --to are the same catalog")
    if origin.file is not None and not origin.file.exists():
        raise CatalogError(f"--from: there is no catalog {origin.shown}")
    opened = await open_catalog(origin, Pool("source", 1))
    try:
        made = await open_catalog(destination, Pool("target", 1))
        try:
            async for copied in copy_catalog(opened, made):
                report(copied)
        finally:
            made.close()
    finally:
        opened.close()


def _settings(option: str, url: str) -> Catalog:
    try:
        return Catalog(url=url)
    except ValidationError:
        raise CatalogError(f"{option}: expected a path, duckdb:///path, or postgresql://user@host/database") from None
