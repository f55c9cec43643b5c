"""Chooses and opens the store that the settings name."""

from typing import TYPE_CHECKING

from service.pools import Pool
from service.store.files import SessionStore, StoreUnusable
from service.store.local import LocalStore
from service.store.prefetch import Budget
from service.store.root import BucketRoot

if TYPE_CHECKING:  # the settings use this room's layouts
    from service.config import Storage


def open_store(storage: "Storage", pool: Pool) -> SessionStore:
    """The store at `storage.root`. `pool` is the one for file work. The caller closes the store.

    Raises StoreUnusable if a package is not installed.
    """
    if isinstance(storage.root, BucketRoot):
        return _open_bucket(storage.root, storage)
    return LocalStore(storage.root, pool)


def _open_bucket(root: BucketRoot, storage: "Storage") -> SessionStore:
    try:  # an extra, which the base does not need
        from service.store.bucket import Bucket  # noqa: PLC0415
        from service.store.objects import ObjectStore  # noqa: PLC0415
    except ImportError as error:
        raise StoreUnusable(f"storage.root is {root}: pip install 'session-export[s3]' first ({error})") from error
    s3 = storage.s3
    bucket = Bucket(root.bucket, s3.endpoint, s3.region, s3.path_style, s3.connections)
    return ObjectStore(root, bucket, Pool("bucket", s3.connections), Budget(s3.prefetch_memory * 1024 * 1024))
