"""Identity headers of an authenticating proxy, such as oauth2-proxy or Authelia.

They count only on a connection that a trusted proxy opened; from anybody else they are as good as nothing.
"""

from aiohttp import web

from service.auth.method import Unknown, checked_id
from service.config import ProxyHeaders
from service.http.requests import Actor, client_of


class Proxy:
    """The way that a proxy goes which has found out who calls."""

    def __init__(self, settings: ProxyHeaders) -> None:
        self._settings = settings

    async def actor(self, request: web.Request) -> Actor | None:
        if not client_of(request).proxied:
            return None
        user_id = _only(request, self._settings.user_header)
        if not user_id:
            return None
        groups = [group.strip() for group in _only(request, self._settings.groups_header).split(",")]
        return Actor(checked_id(user_id), "proxy", self._settings.admin_group in groups)

    @property
    def headers(self) -> tuple[str, str]:
        return self._settings.user_header, self._settings.groups_header

    def __str__(self) -> str:
        settings = self._settings
        return f"{settings.user_header}; admins have {settings.admin_group!r} in {settings.groups_header}"


def _only(request: web.Request, name: str) -> str:
    """A header's value, empty where there is none. Raises Unknown where there are two: one may be the client's own."""
    given = request.headers.getall(name, [])
    if len(given) > 1:
        raise Unknown(f"two {name} headers")
    return given[0].strip() if given else ""
