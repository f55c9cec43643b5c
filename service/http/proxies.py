"""Reverse proxies in front of the service: whom to believe about where a request came from.

What a request says of its way is believed as far as trusted proxies wrote it: read from the right, where the nearest
one wrote, to the first address that is none of theirs. That is the client; what stands left of it, anybody may have
written. Only one of the two headers is read: a proxy that sets the one passes the other on as the client sent it.
"""

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from service.http.requests import CLIENT, Client, product_of

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Hop: TypeAlias = tuple[str | None, str | None]  # whom a proxy got the request from, and by which scheme


class Proxies:
    """The proxies that are trusted, and the header they write: `Forwarded` (RFC 7239) or `X-Forwarded-For`."""

    def __init__(self, trusted: Sequence[Network], header: str) -> None:
        self._trusted = trusted
        self._header = header

    def client(self, request: web.BaseRequest) -> Client:
        """Where the request came from."""
        kind = product_of(request)
        client = address(request.remote)
        if client is None or not self._trusts(client):
            return Client(str(client) if client else request.remote, kind)
        scheme = None
        for source, scheme_there in self._hops(request):
            hop = address(source)
            if hop is None:
                break  # what stands here cannot be used, and nothing that stands before it
            client, scheme = hop, scheme_there
            if not self._trusts(hop):
                break
        return Client(str(client), kind, scheme if scheme in ("http", "https") else None, proxied=True)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)

    def _hops(self, request: web.BaseRequest) -> Sequence[Hop]:
        """The nearest one first."""
        if self._header == hdrs.FORWARDED:
            return [(hop.get("for"), hop.get("proto")) for hop in reversed(request.forwarded)]
        sources = _values(request, hdrs.X_FORWARDED_FOR)
        schemes = _values(request, hdrs.X_FORWARDED_PROTO) or [None]
        # Many proxies keep a single scheme, that of the client, however many addresses there are.
        return [(source, schemes[min(n, len(schemes) - 1)]) for n, source in enumerate(sources)]

    def __str__(self) -> str:
        return f"on, {self._header} from {', '.join(map(str, self._trusted))}" if self._trusted else "off"


def locate(proxies: Proxies) -> Middleware:
    """The middleware that finds out where a request came from."""

    @web.middleware
    async def located(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[CLIENT] = proxies.client(request)
        return await handler(request)

    return located


def address(text: str | None) -> Address | None:
    """An address as it stands in such a header: maybe with a port, IPv6 then in brackets. None for anything else."""
    if text is None:
        return None
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _values(request: web.BaseRequest, name: str) -> list[str | None]:
    """All values of a list, which may stand in several headers (RFC 9110 section 5.3), the last one first."""
    return [value.strip() for value in reversed(",".join(request.headers.getall(name, [])).split(",")) if value.strip()]
