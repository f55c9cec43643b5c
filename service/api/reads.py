"""The audit rows of requests that read personal data other than session files."""

import logging
from typing import Any

from aiohttp import web

from service.api.parts import AUDIT
from service.catalog import Action, CatalogError
from service.transfers.events import event_of
from service.transfers.record import Entry

log = logging.getLogger(__name__)


async def note_read(request: web.Request, action: Action, resource: str, params: dict[str, Any]) -> None:
    """Add the row. A failure is logged, and the request is still answered."""
    try:
        await request.app[AUDIT].write(event_of(request, action, Entry(resource, params)))
    except CatalogError as error:
        log.error("%s is not in the audit log: %s", action.name, error)  # noqa: TRY400
