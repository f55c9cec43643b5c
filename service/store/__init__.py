"""The store: where session files are, and how each one is opened.

A `SessionStore` makes a `UserFiles`, which is bound to one user's directories: code that holds one cannot reach
another user's files, and knows no paths. Every session file is opened by `UserFiles.open`, which checks its name.

All methods block, so call them in a thread of the pool for file work; only `OpenFile.chunks` is for the event loop.
This room raises no other errors than those below.
"""

from service.store.files import (
    SESSION_FILE,
    Announced,
    InvalidName,
    Listing,
    NotFound,
    NotRegular,
    OpenFile,
    Prefetched,
    Read,
    Replaced,
    SessionFile,
    SessionStore,
    Skipped,
    StoreError,
    StoreUnavailable,
    StoreUnusable,
    Truncated,
    Unreadable,
    UserFiles,
)
from service.store.layout import user_directories
from service.store.local import LocalStore
from service.store.opening import open_store
from service.store.root import BucketRoot

__all__ = [
    "SESSION_FILE",
    "Announced",
    "BucketRoot",
    "InvalidName",
    "Listing",
    "LocalStore",
    "NotFound",
    "NotRegular",
    "OpenFile",
    "Prefetched",
    "Read",
    "Replaced",
    "SessionFile",
    "SessionStore",
    "Skipped",
    "StoreError",
    "StoreUnavailable",
    "StoreUnusable",
    "Truncated",
    "Unreadable",
    "UserFiles",
    "open_store",
    "user_directories",
]
