"""The service for programs: `async with Client(url, token) as client`. The command's own commands use it.

The room stands alone: it knows the API, and nothing of the server's inside.
"""

from service.client.client import Client, Exported, Progress
from service.client.errors import (
    BrokenOff,
    CannotSave,
    ClientError,
    Damaged,
    NotAllowed,
    NotFound,
    Refused,
    Unavailable,
)
from service.client.members import Skipped
from service.client.rows import Activity, Session

__all__ = [
    "Activity",
    "BrokenOff",
    "CannotSave",
    "Client",
    "ClientError",
    "Damaged",
    "Exported",
    "NotAllowed",
    "NotFound",
    "Progress",
    "Refused",
    "Session",
    "Skipped",
    "Unavailable",
]
