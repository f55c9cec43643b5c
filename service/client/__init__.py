"""The service for programs: `async with Client(url, token) as client`. The commands use it, too.

The room stands alone: it knows the API and nothing of the server's implementation.
"""

from service.client.client import Client
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
from service.client.export import Exported
from service.client.members import Skipped
from service.client.options import ExportOptions
from service.client.progress import OnProgress, Progress
from service.client.rows import Activity, Session

__all__ = [
    "Activity",
    "BrokenOff",
    "CannotSave",
    "Client",
    "ClientError",
    "Damaged",
    "ExportOptions",
    "Exported",
    "NotAllowed",
    "NotFound",
    "OnProgress",
    "Progress",
    "Refused",
    "Session",
    "Skipped",
    "Unavailable",
]
