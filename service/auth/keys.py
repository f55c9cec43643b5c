"""Keys that JWTs are checked with: a secret, or a JWK set (RFC 7517) from a file or a URL.

A URL is asked at the start, on an unknown key, and when what is known is old, but never more often than once a
minute. When it does not answer, what is known stays good for an hour; after that nobody is let in.
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
from service.pools import run_apart, settle

log = logging.getLogger(__name__)

Key: TypeAlias = jwt.PyJWK | bytes

PAUSE = 60  # seconds between two questions to a URL
OLD = 300  # seconds after which a URL is asked again, while its keys are still used
LIFETIME = 3600  # seconds after which keys of a URL are not used any more
PATIENCE = 5  # seconds that a URL has to answer
LIMIT = 256 * 1024  # bytes of a key set


class Unusable(Exception):
    """What was read is no key set with a key for one of the algorithms."""


class Keys(Protocol):
    """Where keys come from."""

    async def key(self, kid: str | None, algorithm: str) -> Key | None:
        """The key with this id for this algorithm; None when there is none that can be trusted now."""

    async def close(self) -> None:
        """Give back what is held; nothing is asked after this."""


class Secret:
    """One secret, shared with the issuer."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    async def key(self, kid: str | None, algorithm: str) -> Key | None:
        return self._secret

    async def close(self) -> None:
        pass

    def __str__(self) -> str:
        return "a shared secret"


class KeySet:
    """A key set as it was read. A key is kept for each of `algorithms` that it is good for."""

    def __init__(self, text: bytes, algorithms: Sequence[str]) -> None:
        """Raises Unusable."""
        try:
            read = json.loads(text)
            found = [key for key in read["keys"] if isinstance(key, dict) and key.get("use", "sig") == "sig"]
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise Unusable(f"not a JSON Web Key Set: {type(error).__name__}") from None
        self._keys: dict[tuple[str | None, str], jwt.PyJWK] = {}
        for key in found:
            for algorithm in algorithms:
                self._keep(key, algorithm)
        if not self._keys:
            raise Unusable(f"{len(found)} keys, none of them for {', '.join(algorithms)}")

    def _keep(self, key: dict[str, object], algorithm: str) -> None:
        kid = key.get("kid")
        if key.get("alg", algorithm) != algorithm or not isinstance(kid, str | None):
            return
        try:
            self._keys.setdefault((kid, algorithm), jwt.PyJWK(key, algorithm))
        except jwt.PyJWTError:
            return  # of another type: sets hold keys for more than one purpose

    def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """By its id. A token without one means the only key that there is for its algorithm."""
        if kid is not None:
            return self._keys.get((kid, algorithm))
        suited = [key for (_, known), key in self._keys.items() if known == algorithm]
        return suited[0] if len(suited) == 1 else None

    def __len__(self) -> int:
        return len({kid for kid, _ in self._keys})


class FileKeys:
    """A key set from a file, as it was when the configuration was read."""

    def __init__(self, file: Path, algorithms: Sequence[str]) -> None:
        """Blocks. Raises ConfigError."""
        self._file = file
        try:
            with file.open("rb") as opened:
                self._set = KeySet(opened.read(LIMIT), algorithms)
        except (OSError, Unusable) as error:
            raise ConfigError(f"auth.jwt.jwks_file: {file}: {error}") from None

    async def key(self, kid: str | None, algorithm: str) -> Key | None:
        return self._set.find(kid, algorithm)

    async def close(self) -> None:
        pass

    def __str__(self) -> str:
        return f"keys from {self._file}: {len(self._set)}"


class Resolver(AbstractResolver):
    """Looks each name up in a thread of its own, as one that hangs must keep nothing else waiting; aiohttp's own
    resolver does so in the loop's default executor."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The host's addresses. Raises OSError."""
        found = await run_apart(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


class RemoteKeys:
    """A key set from a URL, asked in a task of its own: who has a known key never waits for the answer."""

    def __init__(self, url: str, algorithms: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds."""
        self._url = url
        self._shown_url = url.partition("?")[0]
        self._algorithms = algorithms
        self._clock = clock
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=Resolver()), timeout=aiohttp.ClientTimeout(total=PATIENCE)
        )
        self._set: KeySet | None = None
        self._read = self._asked = -float("inf")
        self._asking: asyncio.Task[None] | None = None
        self._failing = False

    @property
    def known(self) -> bool:
        """Whether there are keys."""
        return self._set is not None

    async def key(self, kid: str | None, algorithm: str) -> Key | None:
        if self._clock() - self._read >= OLD:
            self._ask()
        found = self._find(kid, algorithm)
        if found is None:
            await self.refresh()
            found = self._find(kid, algorithm)
        return found

    async def refresh(self) -> None:
        """Ask, unless that was done within the last minute, and wait for the answer."""
        self._ask()
        if self._asking is not None:
            await asyncio.wait([self._asking])

    async def close(self) -> None:
        self._asked = float("inf")
        if self._asking is not None:
            self._asking.cancel()
            await settle(self._asking)
        await self._session.close()

    def _find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        if self._set is None or self._clock() - self._read >= LIFETIME:
            return None
        return self._set.find(kid, algorithm)

    def _ask(self) -> None:
        """At most once a minute, and once at a time."""
        if self._clock() - self._asked >= PAUSE and (self._asking is None or self._asking.done()):
            self._asked = self._clock()
            self._asking = asyncio.create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            self._set = KeySet(await self._body(), self._algorithms)
        except (aiohttp.ClientError, TimeoutError, Unusable) as error:
            self._failing = True
            log.error(  # noqa: TRY400 - the trace says nothing more
                "auth.jwt: no keys from %s (%s); %s",
                self._shown_url,
                str(error) or type(error).__name__,
                self._meanwhile(),
            )
        else:
            self._read = self._clock()
            if self._failing:
                self._failing = False
                log.info("auth.jwt: %s again", self)

    async def _body(self) -> bytes:
        """Redirects are not followed: keys come from where the configuration says."""
        async with self._session.get(self._url, allow_redirects=False) as response:
            if response.status != 200:
                raise Unusable(f"status {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_chunked(LIMIT):
                body += chunk
                if len(body) > LIMIT:
                    raise Unusable(f"more than {LIMIT} bytes")
            return bytes(body)

    def _meanwhile(self) -> str:
        left = LIFETIME - (self._clock() - self._read)
        return f"those known are used for {left:.0f} s more" if left > 0 else "none of its JWTs is let in"

    def __str__(self) -> str:
        return f"keys from {self._shown_url}: {len(self._set) if self._set else 'none yet'}"
