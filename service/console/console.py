"""GET / and /console/{file}: the console's page and its static files. Open to everybody: they contain no data.

The browser calls the API with its user's own token. The Content-Security-Policy allows scripts, styles and calls of
this service alone, nothing inline, and no way to turn text into markup.
"""

import hashlib
from http import HTTPStatus
from pathlib import Path

from aiohttp import hdrs, web

from service.http.conditions import Validators, failed_precondition

STATIC = Path(__file__).parent / "static"
PAGE = "index.html"
MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
OPEN_ROUTES = frozenset({"/", "/console/{file}"})

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Referrer-Policy": "no-referrer",
    hdrs.CACHE_CONTROL: "no-cache",  # kept by the browser, but used only after the ETag was compared
}


class StaticFile:
    """One file with its entity tag, read once."""

    def __init__(self, path: Path) -> None:
        self.media_type = MEDIA_TYPES[path.suffix]
        self.content = path.read_bytes()
        self.validators = Validators(hashlib.sha256(self.content).hexdigest()[:32])

    def response(self, request: web.Request) -> web.Response:
        headers = HEADERS | self.validators.headers
        match failed_precondition(request, self.validators):
            case HTTPStatus.NOT_MODIFIED:
                return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
            case HTTPStatus.PRECONDITION_FAILED:
                raise web.HTTPPreconditionFailed
        return web.Response(body=self.content, content_type=self.media_type, charset="utf-8", headers=headers)


class Console:
    """Reads all files in the constructor, before anything is served: together they are smaller than one session."""

    def __init__(self) -> None:
        self._files = {path.name: StaticFile(path) for path in STATIC.iterdir()}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/", self._page)
        router.add_get("/console/{file:(?s:.*)}", self._file)  # any text, so that every unknown path below gets a 404

    async def _page(self, request: web.Request) -> web.Response:
        return self._files[PAGE].response(request)

    async def _file(self, request: web.Request) -> web.Response:
        file = self._files.get(request.match_info["file"])
        if file is None:
            raise web.HTTPNotFound
        return file.response(request)
