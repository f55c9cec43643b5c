"""Keys to verify JWTs with: a shared secret, or a JSON Web Key Set (RFC 7517) from a file or a URL.

A URL is fetched at the start, for an unknown key, and when its keys are older than five minutes, but at most once a
minute. If it does not answer, the keys last fetched stay valid for an hour; after that every JWT is rejected.
"""

import asyncio
import json
import logging
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import aiohttp
import jwt
from aiohttp.abc import AbstractResolver, ResolveResult

from service.config import ConfigError
from service.pools import run_in_new_thread, settle

log = logging.getLogger(__name__)

Key: TypeAlias = jwt.PyJWK | bytes

FETCH_INTERVAL = 60  # seconds between two fetches of a URL, at least
REFRESH_AFTER = 300  # seconds after which keys are fetched again, while they are still used
LIFETIME = 3600  # seconds after which keys from a URL are no longer used
FETCH_TIMEOUT = 5  # seconds
MAX_BYTES = 256 * 1024  # of a key set


class InvalidKeySet(Exception):
    """The text is not a key set, or the set has no key for any of the algorithms."""


class Keys(Protocol):
    """A source of keys."""

    async def key(self, kid: str | None, algorithm: str) -> Key | None:
        """The key with this id for this algorithm; None if there is none, or none that is still valid."""

    async def close(self) -> None:
        """Release the source; nothing is fetched after this."""


class SharedSecret:
    """One secret that the issuer has too."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    async def key(self, kid: str | None, algorithm: str) -> Key | None:
        return self._secret

    async def close(self) -> None:
        pass

    def __str__(self) -> str:
        return "a shared secret"


class KeySet:
    """A parsed key set. A key is kept once for each of `algorithms` that it can be used with."""

    def __init__(self, text: bytes, algorithms: Sequence[str]) -> None:
        """Raises InvalidKeySet."""
        try:
            parsed = json.loads(text)
            found = [key for key in parsed["keys"] if isinstance(key, dict) and key.get("use", "sig") == "sig"]
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise InvalidKeySet(f"not a JSON Web Key Set: {type(error).__name__}") from None
        self._keys: dict[tuple[str | None, str], jwt.PyJWK] = {}
        for key in found:
            for algorithm in algorithms:
                self._add(key, algorithm)
        if not self._keys:
            raise InvalidKeySet(f"{len(found)} keys, none of them for {', '.join(algorithms)}")

    def _add(self, key: dict[str, object], algorithm: str) -> None:
        kid = key.get("kid")
        if key.get("alg", algorithm) != algorithm or not isinstance(kid, str | None):
            return
        try:
            self._keys.setdefault((kid, algorithm), jwt.PyJWK(key, algorithm))
        except jwt.PyJWTError:
            return  # a key of another type: a set may have keys for several purposes

    def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key with this id. Without an id, the key for the algorithm, if there is exactly one."""
        if kid is not None:
            return self._keys.get((kid, algorithm))
        candidates = [key for (_, known), key in self._keys.items() if known == algorithm]
        return candidates[0] if len(candidates) == 1 else None

    def __len__(self) -> int:
        return len({kid for kid, _ in self._keys})


class FileKeys:
    """A key set from a file, read when the configuration is read."""

    def __init__(self, file: Path, algorithms: Sequence[str]) -> None:
        """Blocks. Raises ConfigError."""
        self._file = file
        try:
            with file.open("rb") as opened:
                self._set = KeySet(opened.read(MAX_BYTES), algorithms)
        except (OSError, InvalidKeySet) as error:
            raise ConfigError(f"auth.jwt.jwks_file: {file}: {error}") from None

    async def key(self, kid: str | None, algorithm: str) -> Key | None:
        return self._set.find(kid, algorithm)

    async def close(self) -> None:
        pass

    def __str__(self) -> str:
        return f"keys from {self._file}: {len(self._set)}"


class Resolver(AbstractResolver):
    """Resolves each name in a thread of its own, so that a lookup that hangs delays nothing else. aiohttp's resolver
    uses the event loop's default executor."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The host's addresses. Raises OSError."""
        found = await run_in_new_thread(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """There is nothing to release."""


class RemoteKeys:
    """A key set from a URL. It is fetched in a background task: only tokens with an unknown key wait for it."""

    def __init__(self, url: str, algorithms: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds."""
        self._url = url
        self._shown_url = url.partition("?")[0]
        self._algorithms = algorithms
        self._clock = clock
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=Resolver()), timeout=aiohttp.ClientTimeout(total=FETCH_TIMEOUT)
        )
        self._set: KeySet | None = None
        self._fetched_at = self._tried_at = -float("inf")
        self._fetching: asyncio.Task[None] | None = None
        self._failing = False

    @property
    def known(self) -> bool:
        """Whether there are keys."""
        return self._set is not None

    async def key(self, kid: str | None, algorithm: str) -> Key | None:
        if self._clock() - self._fetched_at >= REFRESH_AFTER:
            self._start_fetch()
        found = self._find(kid, algorithm)
        if found is None:
            await self.refresh()
            found = self._find(kid, algorithm)
        return found

    async def refresh(self) -> None:
        """Fetch the keys and wait for them, unless that was tried within `FETCH_INTERVAL`."""
        self._start_fetch()
        if self._fetching is not None:
            await asyncio.wait([self._fetching])

    async def close(self) -> None:
        self._tried_at = float("inf")
        if self._fetching is not None:
            self._fetching.cancel()
            await settle(self._fetching)
        await self._session.close()

    def _find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        if self._set is None or self._clock() - self._fetched_at >= LIFETIME:
            return None
        return self._set.find(kid, algorithm)

    def _start_fetch(self) -> None:
        """Start a fetch unless one is running or was tried within `FETCH_INTERVAL`."""
        if self._clock() - self._tried_at >= FETCH_INTERVAL and (self._fetching is None or self._fetching.done()):
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            self._set = KeySet(await self._body(), self._algorithms)
        except (aiohttp.ClientError, TimeoutError, InvalidKeySet) as error:
            self._failing = True
            log.error(  # noqa: TRY400 - a traceback would add nothing
                "auth.jwt: no keys from %s (%s); %s",
                self._shown_url,
                str(error) or type(error).__name__,
                self._consequence(),
            )
        else:
            self._fetched_at = self._clock()
            if self._failing:
                self._failing = False
                log.info("auth.jwt: %s again", self)

    async def _body(self) -> bytes:
        """The response body. Redirects are not followed: keys come only from the configured URL."""
        async with self._session.get(self._url, allow_redirects=False) as response:
            if response.status != 200:
                raise InvalidKeySet(f"status {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_chunked(MAX_BYTES):
                body += chunk
                if len(body) > MAX_BYTES:
                    raise InvalidKeySet(f"more than {MAX_BYTES} bytes")
            return bytes(body)

    def _consequence(self) -> str:
        left = LIFETIME - (self._clock() - self._fetched_at)
        return f"the keys last fetched are used for {left:.0f} s more" if left > 0 else "its JWTs are rejected"

    def __str__(self) -> str:
        return f"keys from {self._shown_url}: {len(self._set) if self._set else 'none yet'}"
