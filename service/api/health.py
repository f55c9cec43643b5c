"""GET /healthz and /readyz: whether the process serves, and whether catalog and store answer. Open to everybody."""

from http import HTTPStatus

from aiohttp import web

from service.api.parts import READINESS
from service.http.problems import RETRY_SOON, Problem
from service.transfers.transfer import TRANSFERS


async def healthz(_request: web.Request) -> web.Response:
    """200 while the process serves."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """200, or 503 with the names of the parts that do not answer."""
    if request.app[TRANSFERS].stopping:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The service is stopping.", headers=RETRY_SOON)
    if silent := await request.app[READINESS].check():
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"Not answering: {', '.join(silent)}.", headers=RETRY_SOON)
    return web.json_response({"status": "ok"})
