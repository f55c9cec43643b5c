"""What a user's folder in an archive is called.

Archives are unpacked on file systems that ignore case, drop dots at the end of a name, or reserve names such as `con`.
So a user id is a folder's name only where that is plain everywhere. Any other id gets a readable form of it, `~` and a
digest; no plain name has a `~`. Neither depends on which other users are in the archive.
"""

import hashlib
import re

# No member of the service itself begins like this, and nothing hidden, no option of a command, no `..`.
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
