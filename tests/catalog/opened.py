from service.catalog import Database, open_catalog
from service.config import Catalog
from service.pools import Pool


async def opened(url: str, threads: int = 4) -> Database:
    return await open_catalog(Catalog(url=url), Pool("catalog", threads))
