from collections.abc import AsyncIterator

import pytest

from service.catalog import Database
from tests.catalog.opened import opened


@pytest.fixture
async def database(catalog_url: str) -> AsyncIterator[Database]:
    made = await opened(catalog_url)
    yield made
    made.close()
