"""GET /openapi.json, /docs and the files of that page: the API's reference. Open to everybody; it has no user data.

The document is `openapi.yaml` beside this file. The page is Swagger UI from a package. Its
Content-Security-Policy allows no script, style or request from or to anywhere but this service.
"""

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import yaml
from aiohttp import hdrs, web
from openapi_ui_bundles import swagger_ui

from service.api.parts import FILES_POOL

HERE = Path(__file__).parent
DOCUMENT = HERE / "openapi.yaml"
PAGE = HERE / "docs" / "page.html"
ASSETS = {
    "page.js": (HERE / "docs" / "page.js", "text/javascript"),
    "swagger-ui-bundle.js": (swagger_ui.static_path / "swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (swagger_ui.static_path / "swagger-ui.css", "text/css"),
}
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
CONSOLE_PLACE = b"<!-- console -->"
CONSOLE_LINK = b'<p><a href="./">The console</a>: the admin\'s page over this API</p>'
PIECE = 64 * 1024  # bytes


class Reference:
    """Reads each file at the first request for it, and keeps it in memory."""

    def __init__(self, console: bool) -> None:
        self._console = CONSOLE_LINK if console else b""
        self._kept: dict[Path, bytes] = {}

    async def document(self, request: web.Request) -> web.Response:
        """The OpenAPI document as JSON."""
        return web.Response(body=await self._content(request, DOCUMENT), content_type="application/json")

    async def page(self, request: web.Request) -> web.Response:
        """The page that shows the document and can send its requests."""
        body = (await self._content(request, PAGE)).replace(CONSOLE_PLACE, self._console)
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=PAGE_HEADERS)

    async def asset(self, request: web.Request) -> web.Response:
        """A script or style sheet of the page."""
        path, media_type = ASSETS.get(request.match_info["asset"], (None, ""))
        if path is None:
            raise web.HTTPNotFound
        content = await self._content(request, path)
        headers = {hdrs.CONTENT_LENGTH: str(len(content)), hdrs.CACHE_CONTROL: "max-age=3600"}
        return web.Response(body=_pieces(content), content_type=media_type, charset="utf-8", headers=headers)

    async def _content(self, request: web.Request, path: Path) -> bytes:
        if path not in self._kept:
            self._kept[path] = await request.app[FILES_POOL].run(_read, path)
        return self._kept[path]


def _read(path: Path) -> bytes:
    if path.suffix == ".yaml":
        return json.dumps(yaml.safe_load(path.read_bytes())).encode()
    return path.read_bytes()


async def _pieces(content: bytes) -> AsyncGenerator[bytes, None]:
    """In pieces, so that a slow client, which needs no token here, does not keep a copy of the whole in memory."""
    for start in range(0, len(content), PIECE):
        yield content[start : start + PIECE]
