"""Reverse proxies in front of the service: the client's address behind them.

Each proxy appends the address that connected to it. The list is read from its right end, where the nearest proxy wrote,
up to the first address that is not a trusted proxy's: that is the client. Anything to its left may be forged. Only one
of the two headers is read, because a proxy that sets one of them forwards the other as the client sent it.
"""

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from service.http.requests import CLIENT, Client, product_of

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Hop: TypeAlias = tuple[str | None, str | None]  # the address that connected to a proxy, and the scheme it used


class Proxies:
    """The trusted proxies and the header that they write: `Forwarded` (RFC 7239) or `X-Forwarded-For`."""

    def __init__(self, trusted: Sequence[Network], header: str) -> None:
        self._trusted = trusted
        self._header = header

    def client(self, request: web.BaseRequest) -> Client:
        """The client that sent the request."""
        kind = product_of(request)
        client = parse_address(request.remote)
        if client is None or not self._trusts(client):
            return Client(str(client) if client else request.remote, kind)
        scheme = None
        for source, scheme_there in self._hops(request):
            hop = parse_address(source)
            if hop is None:
                break  # not an address, so nothing to its left can be trusted either
            client, scheme = hop, scheme_there
            if not self._trusts(hop):
                break
        return Client(str(client), kind, scheme if scheme in ("http", "https") else None, proxied=True)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)

    def _hops(self, request: web.BaseRequest) -> Sequence[Hop]:
        """The nearest proxy's first."""
        if self._header == hdrs.FORWARDED:
            return [(hop.get("for"), hop.get("proto")) for hop in reversed(request.forwarded)]
        sources = _values(request, hdrs.X_FORWARDED_FOR)
        schemes = _values(request, hdrs.X_FORWARDED_PROTO) or [None]
        # Many proxies write one scheme, the client's, for any number of addresses.
        return [(source, schemes[min(n, len(schemes) - 1)]) for n, source in enumerate(sources)]

    def __str__(self) -> str:
        return f"on, {self._header} from {', '.join(map(str, self._trusted))}" if self._trusted else "off"


def locate_clients(proxies: Proxies) -> Middleware:
    """The middleware that stores the client of each request under `CLIENT`."""

    @web.middleware
    async def located(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[CLIENT] = proxies.client(request)
        return await handler(request)

    return located


def parse_address(text: str | None) -> Address | None:
    """An address from such a header, which may have a port, and IPv6 then brackets. None for anything else."""
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
    """The elements of a list header, which may have several lines (RFC 9110 section 5.3), the last one first."""
    return [value.strip() for value in reversed(",".join(request.headers.getall(name, [])).split(",")) if value.strip()]
