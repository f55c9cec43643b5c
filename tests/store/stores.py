"""Both stores with the same content, for tests of what each of them promises."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from service.config import S3, Storage
from service.pools import Pool
from service.store import SessionStore, open_store
from tests.s3 import send


class Content(ABC):
    """What a test puts into a store."""

    store: SessionStore

    @abstractmethod
    def put(self, path: str, data: bytes) -> None:
        """A file, or an object, as `directory/name`."""

    @abstractmethod
    def delete(self, path: str) -> None: ...


class LocalContent(Content):
    def __init__(self, root: Path, pool: Pool) -> None:
        self._root = root
        root.mkdir()
        self.store = open_store(Storage(root=root), pool)

    def put(self, path: str, data: bytes) -> None:
        """Like an upload: a new file takes the name."""
        target = self._root / path
        target.parent.mkdir(exist_ok=True)
        (self._root.parent / "new").write_bytes(data)
        os.replace(self._root.parent / "new", target)  # noqa: PTH105

    def delete(self, path: str) -> None:
        (self._root / path).unlink()


class BucketContent(Content):
    """A bucket of its own on a server; see tests/s3.py."""

    def __init__(self, endpoint: str, bucket: str, pool: Pool) -> None:
        self.name = bucket
        self._url = f"{endpoint}/{bucket}"
        send("PUT", self._url)
        s3 = S3(endpoint=endpoint, path_style=True, connections=32)
        self.store = open_store(Storage.model_validate({"root": f"s3://{bucket}/some/prefix", "s3": s3}), pool)

    def put(self, path: str, data: bytes) -> None:
        send("PUT", f"{self._url}/some/prefix/{quote(path)}", data)

    def delete(self, path: str) -> None:
        send("DELETE", f"{self._url}/some/prefix/{quote(path)}")


@contextmanager
def files_pool() -> Iterator[Pool]:
    pool = Pool("files", 4)
    yield pool
    pool.close()
