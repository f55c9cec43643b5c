"""The Python client of the service: `async with Client(url, token) as client`. The commands use it, too.

The room depends only on the API, not on the server's code.
"""

from service.client.audit_query import AuditQuery
from service.client.client import Client
from service.client.errors import (
    BrokenOff,
    CannotRead,
    CannotSave,
    ClientError,
    Damaged,
    NotAllowed,
    NotFound,
    Refused,
    Unavailable,
)
from service.client.exported import Exported
from service.client.manifest import Findings, Skipped
from service.client.options import ExportOptions
from service.client.paths import download_path, export_path
from service.client.progress import OnProgress, Progress
from service.client.rows import Activity, FoundSession, Link, Session, User
from service.client.selection import Selection
from service.client.verification import Verification, verify_archive

__all__ = [
    "Activity",
    "AuditQuery",
    "BrokenOff",
    "CannotRead",
    "CannotSave",
    "Client",
    "ClientError",
    "Damaged",
    "ExportOptions",
    "Exported",
    "Findings",
    "FoundSession",
    "Link",
    "NotAllowed",
    "NotFound",
    "OnProgress",
    "Progress",
    "Refused",
    "Selection",
    "Session",
    "Skipped",
    "Unavailable",
    "User",
    "Verification",
    "download_path",
    "export_path",
    "verify_archive",
]
