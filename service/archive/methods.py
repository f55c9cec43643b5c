"""stream-zip's methods, with ZIP64 only on the members that need it.

A member needs ZIP64 if it is larger than 4 GiB or begins beyond 4 GiB in the archive. The end records need it if the
archive is that large or has more than 65,535 members (APPNOTE 4.4.1.4). If a member has ZIP64 without needing it,
Java's `ZipInputStream` loses the rest of the archive without an exception.

stream-zip's own `ZIP_AUTO` makes the same choice, but ignores `get_compressobj` and cannot store. stream-zip calls a
method's private `_get` with the offset at which the member begins; a test detects if that changes.
"""

from collections.abc import Callable
from typing import Any

from stream_zip import NO_COMPRESSION_32, NO_COMPRESSION_64, ZIP_32, ZIP_64, ZIP_AUTO, Method

from service.archive.framing import needs_zip64

AUTO = ZIP_AUTO(0)  # made once: stream-zip makes a class at each call, which takes 9 µs


class MemberMethod(Method):
    """One member's method. `stored_crc` is the checksum of a stored member, which precedes its data."""

    def __init__(self, size: int, stored_crc: int | None) -> None:
        self._size = size
        self._stored_crc = stored_crc

    def _get(self, offset: int, default_get_compressobj: Callable[[], Any]) -> Any:
        method = self._method(needs_zip64(self._size, offset))
        kind, _, *rest = method._get(offset, default_get_compressobj)
        _, upgrade_end_records, *_ = AUTO._get(offset, default_get_compressobj)
        return kind, upgrade_end_records, *rest

    def _method(self, zip64: bool) -> Method:
        if self._stored_crc is None:
            return ZIP_64 if zip64 else ZIP_32
        return (NO_COMPRESSION_64 if zip64 else NO_COMPRESSION_32)(self._size, self._stored_crc)
