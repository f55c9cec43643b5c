"""New tokens, and their lines for the configuration."""

import hashlib
import json
import secrets
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NewToken:
    """`token` is the secret; `lines` are YAML for `auth.tokens`, with its digest only."""

    token: str
    lines: str
    sha256: str


def new_token(user_id: str, *, admin: bool, name: str) -> NewToken:
    """A token of 256 random bits."""
    token = secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    fields = {"name": name, "user_id": user_id, "admin": admin, "sha256": digest}
    # JSON is YAML, and its quoting is right for any name.
    lines = "\n".join(f"      {key}: {json.dumps(value)}" for key, value in fields.items())
    return NewToken(token, f"    -{lines[5:]}", digest)
