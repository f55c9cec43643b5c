"""Content-Disposition for downloads (RFC 6266)."""

import re
from urllib.parse import quote

PLAIN = re.compile(r"[A-Za-z0-9 ._+@-]*")  # what no client's parser has trouble with, quoted or not
MOST = 255  # bytes of UTF-8: what file systems hold; a proxy may refuse a header that is much longer
TAIL = 32  # bytes of a name that is too long which stay at its end: the day and the suffix


def attachment(filename: str) -> str:
    """The header's value. `filename*` (RFC 8187) is there where the name is not plain ASCII; a client that does not
    know it gets the name with `_` for the rest. No quote, backslash, CR or LF gets in. A name that no file system
    would hold loses its middle."""
    filename = _shortened(filename)
    if PLAIN.fullmatch(filename):
        return f'attachment; filename="{filename}"'
    fallback = "".join(char if PLAIN.fullmatch(char) else "_" for char in filename)
    encoded = quote(filename.encode("utf-8", "replace"), safe="")
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{encoded}"


def _shortened(filename: str) -> str:
    whole = filename.encode("utf-8", "replace")
    if len(whole) <= MOST:
        return filename
    return (whole[: MOST - TAIL] + whole[-TAIL:]).decode("utf-8", "ignore")
