"""JSON Web Tokens (RFC 7519) that an issuer signed for this service.

Checked as RFC 8725 advises: the algorithms are the configuration's, never the token's choice; a shared secret and
public keys are never both in use; issuer, audience and an end of validity must be there and be right.
"""

from typing import Any

import jwt

from service.auth.keys import Keys
from service.auth.method import Unknown, checked_id
from service.config import Jwt
from service.http.requests import Actor

CHECKER = jwt.PyJWT(options={"enforce_minimum_key_length": True})


class Jwts:
    """A kind of bearer token: whatever has the shape of a JWT."""

    def __init__(self, settings: Jwt, keys: Keys) -> None:
        self.settings = settings
        self.keys = keys

    async def actor(self, token: str) -> Actor | None:
        if token.count(".") != 2 or not token.isascii():
            return None
        try:
            claims = await self._claims(token)
        except jwt.PyJWTError as error:
            raise Unknown(f"JWT: {str(error)[:200]}") from error
        user_id = checked_id(claims[self.settings.user_claim])
        return Actor(user_id, "JWT", _says(claims, self.settings.admin_claim, self.settings.admin_value))

    async def _claims(self, token: str) -> dict[str, Any]:
        """What the token says, once its signature and its validity were checked. Raises PyJWTError."""
        settings = self.settings
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm not in settings.algorithms:
            raise jwt.InvalidAlgorithmError("its algorithm is none of auth.jwt.algorithms")
        key = await self.keys.key(header.get("kid"), algorithm)
        if key is None:
            raise jwt.InvalidKeyError(f"no key {str(header.get('kid'))[:64]!r} for {algorithm}")
        return CHECKER.decode(
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


def _says(claims: dict[str, Any], name: str, value: str) -> bool:
    """Whether the claim is the value, or a list that holds it. A name with dots may lead into nested claims."""
    found: Any = claims
    for part in [name] if name in claims else name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return value in found if isinstance(found, list) else bool(found == value)
