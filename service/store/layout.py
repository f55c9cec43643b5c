"""Layouts: which directories of the session root belong to a user. No other module turns a user into a path."""

import logging
import re
import unicodedata
from collections.abc import Sequence

log = logging.getLogger(__name__)

PLACEHOLDER = re.compile(r"\{(email_local|email|user_id)\}")


def checked_layout(template: str) -> str:
    """The layout unchanged. Raises ValueError unless it gives each user one directory of their own."""
    literal = PLACEHOLDER.sub("", template)
    if not PLACEHOLDER.search(template) or re.search(r"[{}/\\]", literal) or _has_control(literal):
        raise ValueError("a directory name with {email_local}, {email} or {user_id} in it, and no separator")
    return template


def email_local(email: str) -> str:
    """The part before the last @ (RFC 5321 section 4.1.2), or all of it where there is none."""
    return email.rpartition("@")[0] if "@" in email else email


def user_directories(layouts: Sequence[str], user_id: str, email: str) -> tuple[str, ...]:
    """The names of a user's directories under the session root, in order of priority.

    A name that could lead elsewhere (`base / ""` is the whole root, a local part of `..` its parent) is no
    directory of any user: it is skipped and logged.
    """
    names = []
    for layout in layouts:
        name, is_usable = _filled_in(layout, user_id, email)
        if is_usable:
            names.append(name)
        else:
            log.warning(
                "layout %s gives user %.99r no directory: %.99r is not a directory's name", layout, user_id, name
            )
    return tuple(dict.fromkeys(names))


def yields_directory(layout: str, user_id: str, email: str) -> bool:
    """Whether the layout gives a user with this id and e-mail a directory."""
    return _filled_in(layout, user_id, email)[1]


def _filled_in(layout: str, user_id: str, email: str) -> tuple[str, bool]:
    """The name, and whether it can be that of a user's directory."""
    values = {"email_local": email_local(email), "email": email, "user_id": user_id}
    # With an empty value, the name could be another user's directory, or the same for all users.
    used = [values[key] for key in PLACEHOLDER.findall(layout)]
    name = PLACEHOLDER.sub(lambda match: values[match[1]], layout)
    return name, all(used) and _is_plain(name)


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and not re.search(r"[/\\]", name) and not _has_control(name)


def _has_control(text: str) -> bool:
    """Control characters, such as NUL, and surrogates, which no file system can hold."""
    return any(unicodedata.category(char) in ("Cc", "Cs") for char in text)
