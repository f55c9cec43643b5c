"""The store: where session files lie, and the one door to each.

A `SessionStore` yields a `UserFiles`, which is bound to one user's directories: code that holds one cannot reach
another user's files, and knows no paths. Every way to a session's bytes goes through `UserFiles.open`.

All methods block and belong in a thread of the files' pool. The errors below are the only ones that leave this room.
"""

from service.store.files import (
    SESSION_FILE,
    InvalidName,
    Listing,
    NotFound,
    NotRegular,
    OpenFile,
    SessionFile,
    SessionStore,
    Skipped,
    StoreError,
    StoreUnavailable,
    Truncated,
    Unreadable,
    UserFiles,
)
from service.store.layout import user_directories
from service.store.local import LocalStore
from service.store.opening import open_store

__all__ = [
    "SESSION_FILE",
    "InvalidName",
    "Listing",
    "LocalStore",
    "NotFound",
    "NotRegular",
    "OpenFile",
    "SessionFile",
    "SessionStore",
    "Skipped",
    "StoreError",
    "StoreUnavailable",
    "Truncated",
    "Unreadable",
    "UserFiles",
    "open_store",
    "user_directories",
]
