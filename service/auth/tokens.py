"""Static bearer tokens. The configuration has only their digests."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

from service.auth.method import Unauthenticated
from service.config import Token
from service.http.requests import Actor


class StaticTokens:
    """Verifies the bearer tokens whose digests stand in the configuration."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = [(bytes.fromhex(token.sha256), token) for token in tokens]

    async def verify(self, token: str) -> Actor | None:
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        found = None
        for known, candidate in self._tokens:  # compare all: the time taken must not reveal which one matched
            if hmac.compare_digest(known, digest):
                found = candidate
        if found is None:
            return None
        if _has_expired(found):
            raise Unauthenticated(f"token {found.name!r} has expired")
        return Actor(found.user_id, found.name, found.admin, "token")

    def __str__(self) -> str:
        tokens = [token for _, token in self._tokens]
        admins = sum(token.admin for token in tokens)
        expired = sum(_has_expired(token) for token in tokens)
        return f"{len(tokens)} known, {admins} of them for admins, {expired} expired"


def _has_expired(token: Token) -> bool:
    if token.expires_at is None:
        return False
    moment = token.expires_at if token.expires_at.tzinfo else token.expires_at.replace(tzinfo=UTC)
    return moment <= datetime.now(UTC)
