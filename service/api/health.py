"""GET /healthz and /readyz: whether the process serves, and whether what it needs answers. Open to anybody."""

import asyncio
from collections.abc import Awaitable
from http import HTTPStatus

from aiohttp import web

from service.api.parts import FILES_POOL, REPLICA, STORE
from service.catalog import CatalogError
from service.http.problems import RETRY_SOON, Problem
from service.store import StoreError
from service.transfers.transfer import TRANSFERS

PATIENCE = 2  # seconds that a part has to answer


async def healthz(_request: web.Request) -> web.Response:
    """200 while the process serves."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """200, or 503 naming what does not answer."""
    app = request.app
    if app[TRANSFERS].stopping:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The service is stopping.", headers=RETRY_SOON)
    parts: dict[str, Awaitable[object]] = {
        "catalog": app[REPLICA].check(),
        "store": app[FILES_POOL].run(app[STORE].check),
    }
    answers = await asyncio.gather(*(_answers(part) for part in parts.values()))
    silent = [name for name, answer in zip(parts, answers, strict=True) if not answer]
    if silent:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"Not answering: {', '.join(silent)}.", headers=RETRY_SOON)
    return web.json_response({"status": "ok"})


async def _answers(part: Awaitable[object]) -> bool:
    try:
        await asyncio.wait_for(part, PATIENCE)
    except (CatalogError, StoreError, TimeoutError):
        return False
    return True
