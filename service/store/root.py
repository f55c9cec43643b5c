"""The root of the store, as set in `storage.root`: a directory, or a prefix in a bucket."""

import re
import unicodedata
from dataclasses import dataclass

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class BucketRoot:
    """All objects of `bucket` whose keys begin with `prefix`, which is empty or ends with a slash."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


def parse_root(value: object) -> object:
    """A `BucketRoot` for s3://bucket/prefix; anything else unchanged. Raises ValueError for a URL that is not one."""
    if not isinstance(value, str) or not SCHEME.match(value):
        return value
    match = BUCKET.fullmatch(value)
    parts = (match[2] or "").removesuffix("/").split("/") if match else []
    if match is None or (parts != [""] and not all(map(_is_plain, parts))):
        raise ValueError("a directory, or s3://bucket/prefix without empty parts, . and ..")
    return BucketRoot(match[1], "" if parts == [""] else "/".join(parts) + "/")


def _is_plain(part: str) -> bool:
    return part not in ("", ".", "..") and not any(unicodedata.category(char) in ("Cc", "Cs") for char in part)
