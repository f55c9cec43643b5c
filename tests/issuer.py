"""An issuer of JWTs with its keys, and a server that has them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from service.config import Jwt

ISSUER = "https://login.example.com/"
AUDIENCE = "session-export"
SECRET = "a-secret-of-the-issuer-with-many-bytes"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """One key a number, made once."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key(number: int = 0) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def jwk(key: PrivateKey, kid: str | None, **more: object) -> dict[str, Any]:
    algorithm = jwt.get_algorithm_by_name("RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256")
    public: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    return public | ({} if kid is None else {"kid": kid}) | more


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def claims(**other: object) -> dict[str, Any]:
    """Those of an admin's good token; None takes one away."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "jwt-admin", "exp": now + 600, "groups": ["all", "admins"]}
    return {name: value for name, value in (good | other).items() if value is not None}


def sign(
    key: Any, algorithm: str, *, kid: str | None = None, header: dict[str, Any] | None = None, **other: Any
) -> str:
    more = ({} if kid is None else {"kid": kid}) | (header or {})
    return jwt.encode(claims(**other), key, algorithm, headers=more)


def jwt_settings(**fields: Any) -> Jwt:
    needed = {"issuer": ISSUER, "audience": AUDIENCE, "admin_claim": "groups", "admin_value": "admins"}
    return Jwt(**(needed | fields))


Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


class KeyServer:
    """`keys` is what it answers; `asked` counts. `answering` may be set to answer otherwise."""

    def __init__(self, keys: bytes) -> None:
        self.keys = keys
        self.asked = 0
        self.answering: Answering = self._answer
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        return await self.answering(request)

    async def _answer(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(body=self.keys, content_type="application/json")

    @staticmethod
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError


@asynccontextmanager
async def key_server(keys: bytes) -> AsyncIterator[KeyServer]:
    served = KeyServer(keys)
    app = web.Application()
    app.router.add_get("/jwks.json", served.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        served.url = f"http://127.0.0.1:{server.port}/jwks.json"
        # The test server cancels a handler whose client has left, so a silent answer does not outlast the test.
        yield served
