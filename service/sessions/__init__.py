"""The sessions room: which sessions there are, merged from the catalog's rows and the store's files.

It knows no HTTP, no SQL and no paths.
"""

from service.sessions.selection import Selection
from service.sessions.sessions import Session, Sessions, UserNotFound, UserSessions

__all__ = ["Selection", "Session", "Sessions", "UserNotFound", "UserSessions"]
