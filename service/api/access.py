"""The log's line for each request that got an answer."""

import logging

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from service.api.requests import ACTOR, REQUEST_ID
from service.api.transfer import OUTCOME

log = logging.getLogger(__name__)


class AccessLogger(AbstractAccessLogger):
    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """`time` is seconds. The path is logged as it was sent, still encoded, so that it cannot forge a line."""
        actor = request.get(ACTOR)
        log.info(
            "%s %s %s %s %s %d %dB %.1fms%s",
            request.get(REQUEST_ID, "-"),
            request.remote,
            f"{actor.user_id!r} ({actor.name})" if actor else "-",
            request.method,
            request.rel_url.raw_path,
            response.status,
            response.body_length,
            time * 1000,
            f" {request[OUTCOME]}" if OUTCOME in request else "",
        )
