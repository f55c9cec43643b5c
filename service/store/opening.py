"""The one place that chooses a store by the settings."""

from typing import TYPE_CHECKING

from service.pools import Pool
from service.store.files import SessionStore
from service.store.local import LocalStore

if TYPE_CHECKING:  # the settings use this room's layouts
    from service.config import Storage


def open_store(storage: "Storage", pool: Pool) -> SessionStore:
    """The store at `storage.root`. `pool` is the one for file work."""
    return LocalStore(storage.root, pool)
