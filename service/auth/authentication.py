"""The ways to say who one is that are on, and how they are replaced while the service runs."""

import asyncio
import logging

from aiohttp import web

from service.auth.bearer import Bearer, Kind
from service.auth.jwt import Jwts
from service.auth.keys import FileKeys, Keys, RemoteKeys, Secret
from service.auth.method import Unknown, Way
from service.auth.proxy import Proxy
from service.auth.tokens import Tokens
from service.config import ConfigError, Jwt, Settings
from service.http.requests import Actor
from service.pools import Pool

log = logging.getLogger(__name__)

NOBODY = (
    "auth.tokens: no way to authenticate is configured, so nobody could call the service; "
    "make a token with `session-export token --user-id ID --admin` and put the lines it prints into config.yaml"
)
PROXY_OF_NOBODY = "auth.proxy: needs server.trusted_proxies, as its headers count from nobody else"


def checked(settings: Settings) -> Settings:
    """Settings with which somebody can call. Raises ConfigError."""
    auth = settings.auth
    if not auth.tokens and auth.jwt is None and auth.proxy is None:
        raise ConfigError(NOBODY)
    if auth.proxy is not None and not settings.server.trusted_proxies:
        raise ConfigError(PROXY_OF_NOBODY)
    return settings


class Authentication:
    """Asks the ways that are on. Nobody is let in before `use`."""

    def __init__(self, pool: Pool) -> None:
        """`pool`: where the file of keys is read."""
        self._pool = pool
        self._tokens: Tokens | None = None
        self._jwts: Jwts | None = None
        self._proxy: Proxy | None = None
        self._ways: list[Way] = []

    async def actor(self, request: web.Request) -> Actor:
        """Who calls. Raises Refused."""
        for way in self._ways:
            if actor := await way.actor(request):
                return actor
        raise Unknown("nothing that says who calls")

    async def use(self, settings: Settings) -> None:
        """Let in whom these settings know, and nobody else, from now on, and say so in the log. Raises ConfigError, and
        changes nothing. A URL of keys that gives none is a mistake only where somebody was let in before."""
        auth = checked(settings).auth
        before, jwts = self._jwts, await self._jwts_of(auth.jwt)
        self._tokens = Tokens(auth.tokens) if auth.tokens else None
        self._jwts = jwts
        self._proxy = Proxy(auth.proxy) if auth.proxy else None
        kinds: list[Kind] = [kind for kind in (self._tokens, self._jwts) if kind is not None]
        self._ways = [Bearer(kinds)] if kinds else []
        if self._proxy is not None:
            self._ways.append(self._proxy)
        for line in self.words():
            log.info("%s", line)
        if before is not None and (jwts is None or before.keys is not jwts.keys):
            await before.keys.close()

    async def close(self) -> None:
        if self._jwts is not None:
            await self._jwts.keys.close()

    @property
    def identity_headers(self) -> tuple[str, ...]:
        """The headers that are believed from a trusted proxy; none while that way is off."""
        return self._proxy.headers if self._proxy else ()

    def words(self) -> list[str]:
        """For each way a line that says whether it is on, and for whom."""
        ways = {
            "static tokens (auth.tokens)": self._tokens,
            "JWTs (auth.jwt)": self._jwts,
            "identity headers of a proxy (auth.proxy)": self._proxy,
        }
        return [f"{name}: {'off' if way is None else f'on, {way}'}" for name, way in ways.items()]

    async def _jwts_of(self, settings: Jwt | None) -> Jwts | None:
        return (
            None if settings is None else Jwts(settings, self._running_keys(settings) or await self._keys_of(settings))
        )

    def _running_keys(self, settings: Jwt) -> Keys | None:
        """Those of the same URL, which need not answer now, with the time at which it was asked."""
        if self._jwts is None or settings.jwks_url is None:
            return None
        running = self._jwts.settings
        same = (settings.jwks_url, settings.algorithms) == (running.jwks_url, running.algorithms)
        return self._jwts.keys if same else None

    async def _keys_of(self, settings: Jwt) -> Keys:
        if settings.secret is not None:
            return Secret(settings.secret.get_secret_value())
        if settings.jwks_file is not None:
            return await self._pool.run(FileKeys, settings.jwks_file, settings.algorithms)
        assert settings.jwks_url is not None  # noqa: S101 - the settings have one of the three
        keys = RemoteKeys(settings.jwks_url, settings.algorithms)
        try:
            await keys.refresh()
            if self._ways and not keys.known:
                raise ConfigError("auth.jwt.jwks_url: it gives no keys now, see above")
        except (asyncio.CancelledError, ConfigError):
            await keys.close()
            raise
        return keys


AUTHENTICATION = web.AppKey("authentication", Authentication)
