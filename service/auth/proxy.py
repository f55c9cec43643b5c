"""Identity headers of an authenticating proxy, such as oauth2-proxy or Authelia.

They are read only if a trusted proxy opened the connection; from anybody else they are ignored.
"""

from aiohttp import web

from service.auth.method import Unauthenticated, valid_user_id
from service.config import ProxyHeaders
from service.http.requests import Actor, client_of


class ProxyAuthentication:
    """The method for requests that a proxy has authenticated."""

    def __init__(self, settings: ProxyHeaders) -> None:
        self._settings = settings

    async def authenticate(self, request: web.Request) -> Actor | None:
        if not client_of(request).proxied:
            return None
        user_id = _single_value(request, self._settings.user_header)
        if not user_id:
            return None
        groups = [group.strip() for group in _single_value(request, self._settings.groups_header).split(",")]
        return Actor(valid_user_id(user_id), "proxy", self._settings.admin_group in groups, "proxy")

    @property
    def headers(self) -> tuple[str, str]:
        return self._settings.user_header, self._settings.groups_header

    def __str__(self) -> str:
        settings = self._settings
        return f"{settings.user_header}; admins have {settings.admin_group!r} in {settings.groups_header}"


def _single_value(request: web.Request, name: str) -> str:
    """The header's value, empty without one. Raises Unauthenticated for two: one may be the client's own."""
    given = request.headers.getall(name, [])
    if len(given) > 1:
        raise Unauthenticated(f"two {name} headers")
    return given[0].strip() if given else ""
