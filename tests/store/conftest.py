"""A files' pool, an S3 server for the whole run, and a store of each kind."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.pools import Pool
from tests.s3 import s3_server
from tests.store.stores import BucketContent, Content, LocalContent, files_pool


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with files_pool() as made:
        yield made


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    pytest.importorskip("moto", reason="moto is not installed")
    with s3_server() as url:
        yield url


@pytest.fixture
def bucket(s3_endpoint: str, credentials: None, pool: Pool) -> Iterator[BucketContent]:
    content = BucketContent(s3_endpoint, f"sessions-{uuid.uuid4().hex}", pool)
    yield content
    content.store.close()


@pytest.fixture(params=["local", "bucket"])
def content(request: pytest.FixtureRequest, tmp_path: Path, pool: Pool) -> Iterator[Content]:
    if request.param == "local":
        yield LocalContent(tmp_path / "root", pool)
    else:
        yield request.getfixturevalue("bucket")
