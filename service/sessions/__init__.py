"""The sessions room: it merges the catalog's rows and the store's files into sessions.

It knows no HTTP, no SQL and no paths.
"""

from service.catalog import Selection
from service.sessions.background import Background
from service.sessions.directory import Directory, UserNotFound
from service.sessions.folders import Folders
from service.sessions.indexer import Indexer, NotIndexedInTime
from service.sessions.sessions import Session, Sessions, UserSessions, username

__all__ = [
    "Background",
    "Directory",
    "Folders",
    "Indexer",
    "NotIndexedInTime",
    "Selection",
    "Session",
    "Sessions",
    "UserNotFound",
    "UserSessions",
    "username",
]
