"""The name of a user's folder in an archive.

Archives are unpacked on file systems that ignore case, drop trailing dots, or reserve names such as `con`. So a user id
is used as a folder name only if it is a plain name on all of them. Any other id becomes a readable form of it, `~` and
a digest; no plain name contains `~`. A name never depends on which other users are in the archive.
"""

import hashlib
import re

# Excludes hidden files, command options and `..`; the members that the service itself adds begin with `_`.
PLAIN = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9_-])?")
RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")  # by Windows, with any suffix
NOT_PLAIN = re.compile(r"[^a-z0-9]+")
READABLE = 40  # characters
DIGITS = 20  # hexadecimal: 80 bits


def folder_path(user_id: str) -> str:
    """The folder with a slash at its end; plain ASCII."""
    if PLAIN.fullmatch(user_id) and not RESERVED.fullmatch(user_id):
        return f"{user_id}/"
    readable = NOT_PLAIN.sub("-", user_id.lower())[:READABLE].strip("-") or "user"
    digest = hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
    return f"{readable}~{digest}/"
