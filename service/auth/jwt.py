"""JSON Web Tokens (RFC 7519) that an issuer signed for this service.

They are verified as RFC 8725 advises: the configuration names the allowed algorithms, never the token; a shared secret
and public keys are never both in use; issuer, audience and expiry are required.
"""

from typing import Any

import jwt

from service.auth.keys import Keys
from service.auth.method import Unauthenticated, valid_user_id
from service.config import Jwt
from service.http.requests import Actor

DECODER = jwt.PyJWT(options={"enforce_minimum_key_length": True})


class JwtVerifier:
    """Verifies bearer tokens that have the form of a JWT."""

    def __init__(self, settings: Jwt, keys: Keys) -> None:
        self.settings = settings
        self.keys = keys

    async def verify(self, token: str) -> Actor | None:
        if token.count(".") != 2 or not token.isascii():
            return None
        try:
            claims = await self._claims(token)
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"JWT: {str(error)[:200]}") from error
        user_id = valid_user_id(claims[self.settings.user_claim])
        return Actor(user_id, "JWT", _has_value(claims, self.settings.admin_claim, self.settings.admin_value), "jwt")

    async def _claims(self, token: str) -> dict[str, Any]:
        """The claims of a token whose signature and validity were verified. Raises PyJWTError."""
        settings = self.settings
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm not in settings.algorithms:
            raise jwt.InvalidAlgorithmError("its algorithm is not one of auth.jwt.algorithms")
        key = await self.keys.key(header.get("kid"), algorithm)
        if key is None:
            raise jwt.InvalidKeyError(f"no key {str(header.get('kid'))[:64]!r} for {algorithm}")
        return DECODER.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=settings.issuer,
            audience=settings.audience,
            leeway=settings.leeway,
            options={"require": ["iss", "aud", "exp", settings.user_claim]},
        )

    def __str__(self) -> str:
        settings = self.settings
        return (
            f"of issuer {settings.issuer} for audience {settings.audience}, {', '.join(settings.algorithms)}, "
            f"{self.keys}; admins have {settings.admin_value!r} in {settings.admin_claim!r}"
        )


def _has_value(claims: dict[str, Any], name: str, value: str) -> bool:
    """Whether the claim is the value, or a list with the value. Dots in a name separate nested claims."""
    found: Any = claims
    for part in [name] if name in claims else name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return value in found if isinstance(found, list) else bool(found == value)
