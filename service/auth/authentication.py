"""The authentication methods that are configured; a reload replaces them while the service runs."""

import asyncio
import logging

from aiohttp import web

from service.auth.bearer import Bearer, TokenVerifier
from service.auth.jwt import JwtVerifier
from service.auth.keys import FileKeys, Keys, RemoteKeys, SharedSecret
from service.auth.method import AuthenticationMethod, Unauthenticated
from service.auth.proxy import ProxyAuthentication
from service.auth.tokens import StaticTokens
from service.config import ConfigError, Jwt, Settings
from service.http.requests import Actor
from service.pools import Pool

log = logging.getLogger(__name__)

NO_METHOD = (
    "auth.tokens: no authentication method is configured, so nobody could call the service; "
    "make a token with `session-export token --user-id ID --admin` and put the lines it prints into config.yaml"
)
NO_TRUSTED_PROXY = "auth.proxy: needs server.trusted_proxies, since its headers count only from those"


def check_authentication(settings: Settings) -> Settings:
    """The settings, if some caller can authenticate with them. Raises ConfigError."""
    auth = settings.auth
    if not auth.tokens and auth.jwt is None and auth.proxy is None:
        raise ConfigError(NO_METHOD)
    if auth.proxy is not None and not settings.server.trusted_proxies:
        raise ConfigError(NO_TRUSTED_PROXY)
    return settings


class Authentication:
    """Authenticates requests by the configured methods. Until `use` is called, every request is rejected."""

    def __init__(self, pool: Pool) -> None:
        """`pool` runs the reading of a key file."""
        self._pool = pool
        self._tokens: StaticTokens | None = None
        self._jwts: JwtVerifier | None = None
        self._proxy: ProxyAuthentication | None = None
        self._methods: list[AuthenticationMethod] = []

    async def authenticate(self, request: web.Request) -> Actor:
        """The caller. Raises Refused."""
        for method in self._methods:
            if actor := await method.authenticate(request):
                return actor
        raise Unauthenticated("no credentials")

    async def use(self, settings: Settings) -> None:
        """Authenticate by these settings from now on, and log the methods. If this raises ConfigError, nothing changes.

        A key URL that gives no keys is an error on reload only: at the start the service must not depend on it."""
        auth = check_authentication(settings).auth
        before, jwts = self._jwts, await self._jwt_verifier(auth.jwt)
        self._tokens = StaticTokens(auth.tokens) if auth.tokens else None
        self._jwts = jwts
        self._proxy = ProxyAuthentication(auth.proxy) if auth.proxy else None
        verifiers: list[TokenVerifier] = [one for one in (self._tokens, self._jwts) if one is not None]
        self._methods = [Bearer(verifiers)] if verifiers else []
        if self._proxy is not None:
            self._methods.append(self._proxy)
        for line in self.summary():
            log.info("%s", line)
        if before is not None and (jwts is None or before.keys is not jwts.keys):
            await before.keys.close()

    async def close(self) -> None:
        if self._jwts is not None:
            await self._jwts.keys.close()

    @property
    def identity_headers(self) -> tuple[str, ...]:
        """The headers that identify the caller if a trusted proxy sends them; none while that method is off."""
        return self._proxy.headers if self._proxy else ()

    def summary(self) -> list[str]:
        """A line for each method: whether it is on, and which callers it accepts."""
        methods = {
            "static tokens (auth.tokens)": self._tokens,
            "JWTs (auth.jwt)": self._jwts,
            "identity headers of a proxy (auth.proxy)": self._proxy,
        }
        return [f"{name}: {'off' if method is None else f'on, {method}'}" for name, method in methods.items()]

    async def _jwt_verifier(self, settings: Jwt | None) -> JwtVerifier | None:
        if settings is None:
            return None
        return JwtVerifier(settings, self._current_keys(settings) or await self._open_keys(settings))

    def _current_keys(self, settings: Jwt) -> Keys | None:
        """The keys in use, if they are from the same URL: then the URL need not answer now, and the fetch interval
        still applies."""
        if self._jwts is None or settings.jwks_url is None:
            return None
        current = self._jwts.settings
        same = (settings.jwks_url, settings.algorithms) == (current.jwks_url, current.algorithms)
        return self._jwts.keys if same else None

    async def _open_keys(self, settings: Jwt) -> Keys:
        if settings.secret is not None:
            return SharedSecret(settings.secret.get_secret_value())
        if settings.jwks_file is not None:
            return await self._pool.run(FileKeys, settings.jwks_file, settings.algorithms)
        assert settings.jwks_url is not None  # noqa: S101 - the settings have one of the three
        keys = RemoteKeys(settings.jwks_url, settings.algorithms)
        try:
            await keys.refresh()
            if self._methods and not keys.known:
                raise ConfigError("auth.jwt.jwks_url: no keys could be fetched from it, see the line above")
        except (asyncio.CancelledError, ConfigError):
            await keys.close()
            raise
        return keys


AUTHENTICATION = web.AppKey("authentication", Authentication)
