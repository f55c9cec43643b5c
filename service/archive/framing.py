"""The headers and other records around the members of a ZIP (APPNOTE 4.3), as pure functions of a member's fields.

They make the same bytes as stream-zip, for responses that start inside an archive or announce its length. Tests compare
all of them with stream-zip.
"""

import stat
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

MODE = stat.S_IFREG | 0o600
# The earliest time that MS-DOS fields hold (APPNOTE 4.4.6), and the latest of a signed 32-bit Unix time, which the
# extended timestamp extra field holds.
EARLIEST = int(datetime(1980, 1, 1, tzinfo=UTC).timestamp())
LATEST = 2**31 - 1

MOST_16, MOST_32 = 0xFFFF, 0xFFFF_FFFF  # the largest values of fields without ZIP64
# Bytes of the largest text that fits without ZIP64 even if it is incompressible: deflate adds 5 for each 64 KiB.
LARGEST_32 = MOST_32 - 64 * 1024 * 1024

UTF8, SIZES_FOLLOW = 0x0800, 0x0008
STORED, DEFLATED = 0, 8
UNIX = 3
ONLY_MTIME = 1

LOCAL = Struct("<4sHHHIIIIHH")
CENTRAL = Struct("<4sBBBBHHIIIIHHHHHII")
DESCRIPTOR_32, DESCRIPTOR_64 = Struct("<4sIII"), Struct("<4sIQQ")
TIMESTAMP = Struct("<2sHBl")
ZIP64_LOCAL, ZIP64_CENTRAL = Struct("<HHQQ"), Struct("<HHQQQ")
ZIP64_END, ZIP64_LOCATOR = Struct("<4sQHHIIQQQQ"), Struct("<4sIQI")
END = Struct("<4sHHHHIIH")


def needs_zip64(size: int, offset: int) -> bool:
    """Whether a member of `size` uncompressed bytes that begins at `offset` needs ZIP64."""
    return size > LARGEST_32 or offset > MOST_32


class Entry(NamedTuple):
    """The fields of a member's headers. `packed` is its compressed size, `offset` is where it begins."""

    name: str
    mtime_ns: int
    crc: int
    packed: int
    size: int
    offset: int

    @property
    def zip64(self) -> bool:
        return needs_zip64(self.size, self.offset)


class Framing(NamedTuple):
    """The headers of one archive, whose members are all stored or all deflated. Names are ASCII."""

    stored: bool

    def before(self, name_length: int, zip64: bool) -> int:
        """Bytes of a local header."""
        return LOCAL.size + name_length + TIMESTAMP.size + (ZIP64_LOCAL.size if zip64 else 0)

    def after(self, zip64: bool) -> int:
        """Bytes of a data descriptor."""
        if self.stored:
            return 0
        return DESCRIPTOR_64.size if zip64 else DESCRIPTOR_32.size

    def central_size(self, name_length: int, zip64: bool) -> int:
        """Bytes of a header in the central directory."""
        return CENTRAL.size + name_length + TIMESTAMP.size + (ZIP64_CENTRAL.size if zip64 else 0)

    def end_size(self, zip64: bool) -> int:
        """Bytes of the end records."""
        return END.size + (ZIP64_END.size + ZIP64_LOCATOR.size if zip64 else 0)

    def framed_size(self, entry: Entry) -> int:
        """Bytes of a member with its headers."""
        return self.before(len(entry.name), entry.zip64) + entry.packed + self.after(entry.zip64)

    def local(self, entry: Entry) -> bytes:
        """The local header (APPNOTE 4.3.7)."""
        seconds = zip_seconds(entry.mtime_ns)
        crc, packed, size = (entry.crc, entry.packed, entry.size) if self.stored else (0, 0, 0)
        extra = TIMESTAMP.pack(b"UT", 5, ONLY_MTIME, seconds)
        if entry.zip64:
            extra = ZIP64_LOCAL.pack(1, 16, size, packed) + extra
            packed = size = MOST_32
        name = entry.name.encode()
        fields = (*self._kind(entry.zip64), _dos_time(seconds), crc, packed, size, len(name), len(extra))
        return LOCAL.pack(b"PK\x03\x04", *fields) + name + extra

    def descriptor(self, entry: Entry) -> bytes:
        """The data descriptor (APPNOTE 4.3.9); stored members have none."""
        if self.stored:
            return b""
        descriptor = DESCRIPTOR_64 if entry.zip64 else DESCRIPTOR_32
        return descriptor.pack(b"PK\x07\x08", entry.crc, entry.packed, entry.size)

    def central(self, entry: Entry) -> bytes:
        """The header in the central directory (APPNOTE 4.3.12)."""
        name, mtime_ns, crc, packed, size, offset = entry
        seconds = zip_seconds(mtime_ns)
        extra = TIMESTAMP.pack(b"UT", 5, ONLY_MTIME, seconds)
        if entry.zip64:
            extra = ZIP64_CENTRAL.pack(1, 24, size, packed, offset) + extra
            packed = size = offset = MOST_32
        encoded = name.encode()
        version, flags, method = self._kind(entry.zip64)
        made_by = (version, UNIX, version, 0)
        fields = (flags, method, _dos_time(seconds), crc, packed, size, len(encoded), len(extra), 0, 0, 0)
        return CENTRAL.pack(b"PK\x01\x02", *made_by, *fields, MODE << 16, offset) + encoded + extra

    def end(self, members: int, directory_size: int, directory_at: int, zip64: bool) -> bytes:
        """The end records (APPNOTE 4.3.14 to 4.3.16)."""
        if not zip64:
            return END.pack(b"PK\x05\x06", 0, 0, members, members, directory_size, directory_at, 0)
        return (
            ZIP64_END.pack(b"PK\x06\x06", 44, 45, 45, 0, 0, members, members, directory_size, directory_at)
            + ZIP64_LOCATOR.pack(b"PK\x06\x07", 0, directory_at + directory_size, 1)
            + END.pack(b"PK\x05\x06", MOST_16, MOST_16, MOST_16, MOST_16, MOST_32, MOST_32, 0)
        )

    def _kind(self, zip64: bool) -> tuple[int, int, int]:
        """Version needed, flags and method."""
        flags = UTF8 if self.stored else UTF8 | SIZES_FOLLOW
        return 45 if zip64 else 20, flags, STORED if self.stored else DEFLATED


def zip_time(mtime_ns: int) -> datetime:
    """The nearest time that a ZIP can hold, in UTC."""
    return datetime.fromtimestamp(zip_seconds(mtime_ns), UTC)


def zip_seconds(mtime_ns: int) -> int:
    """The same time as a Unix time."""
    seconds = mtime_ns // 10**9
    return seconds if EARLIEST <= seconds <= LATEST else min(max(seconds, EARLIEST), LATEST)


def _dos_time(seconds: int) -> int:
    """Time and date of MS-DOS (APPNOTE 4.4.6), in UTC; the date is in the upper half."""
    day, second = divmod(seconds, 86_400)
    return second // 2 % 30 | second // 60 % 60 << 5 | second // 3600 << 11 | _dos_date(day) << 16


@lru_cache
def _dos_date(day: int) -> int:
    """`day` is counted from 1970-01-01."""
    at = date(1970, 1, 1) + timedelta(days=day)
    return at.day | at.month << 5 | (at.year - 1980) << 9
