"""Content-Disposition for downloads (RFC 6266)."""

import re
from urllib.parse import quote

PLAIN = re.compile(r"[A-Za-z0-9 ._+@-]*")  # characters that every client parses, quoted or not
MAX_NAME = 255  # bytes of UTF-8, the limit of most file systems; a proxy may reject a header that is much longer
KEPT_END = 32  # bytes that are kept at the end of a longer name: the day and the suffix


def attachment(filename: str) -> str:
    """The header's value. A name that is not plain ASCII is in `filename*` (RFC 8187); for clients that do not support
    it, `filename` has `_` in place of other characters. A quote, backslash, CR or LF of the name is never copied into
    the value. A name too long for a file system loses its middle."""
    filename = _shortened(filename)
    if PLAIN.fullmatch(filename):
        return f'attachment; filename="{filename}"'
    fallback = "".join(char if PLAIN.fullmatch(char) else "_" for char in filename)
    encoded = quote(filename.encode("utf-8", "replace"), safe="")
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{encoded}"


def _shortened(filename: str) -> str:
    whole = filename.encode("utf-8", "replace")
    if len(whole) <= MAX_NAME:
        return filename
    return (whole[: MAX_NAME - KEPT_END] + whole[-KEPT_END:]).decode("utf-8", "ignore")
