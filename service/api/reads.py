"""The audit rows of requests that read what is known of people."""

import logging
from typing import Any

from aiohttp import web

from service.api.parts import AUDIT
from service.catalog import Action, CatalogError
from service.transfers.events import event_of
from service.transfers.record import Entry

log = logging.getLogger(__name__)


async def note_read(request: web.Request, action: Action, resource: str, params: dict[str, Any]) -> None:
    """Add the row. If that fails, the request is answered all the same, and it is logged."""
    try:
        await request.app[AUDIT].write(event_of(request, action, Entry(resource, params)))
    except CatalogError as error:
        log.error("%s is not in the audit log: %s", action.name, error)  # noqa: TRY400
