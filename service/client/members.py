"""A streamed ZIP, verified while it arrives: each member is inflated and compared with its checksum and sizes, and
the central directory at the end with all members.

Own code, though there is a library (stream-unzip): that one inflates with zlib, at a quarter of igzip's speed, and
trusts the central directory unread, on which every other program relies. This reader accepts what an export can
hold (APPNOTE, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT); all else is damage.
"""

import io
import json
import re
import struct
import zipfile
from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from isal import igzip_lib, isal_zlib

from service.client.errors import Damaged

PIECE = 64 * 1024  # bytes inflated at a time; with more, the output no longer fits the processor's cache

LOCAL = b"PK\x03\x04"
DESCRIPTOR = b"PK\x07\x08"
END = b"PK\x05\x06"
END_SIZE = 22  # without a comment, which no export has

HEADER = struct.Struct("<HHHHHIIIHH")  # a local header behind its signature (APPNOTE 4.3.7)
DESCRIPTOR_32 = struct.Struct("<4sIII")  # 4.3.9
DESCRIPTOR_64 = struct.Struct("<4sIQQ")
ZIP64_SIZES = struct.Struct("<QQ")  # 4.5.3
EXTRA_FIELD = struct.Struct("<HH")  # 4.5.1
UNIX_TIME = struct.Struct("<Bi")  # 4.6.1, Info-ZIP's extended timestamp

ZIP64, TIMESTAMP = 0x0001, 0x5455
SIZES_FOLLOW = 0x0008  # 4.4.4
STORED, DEFLATED = 0, 8

SKIPPED = "_skipped.json"
MEMBER = re.compile(r"[A-Za-z0-9._-]+\.jsonl|_skipped\.json")  # what an export can hold: no path

Steps: TypeAlias = Generator[None, bytes, None]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that the server left out, and why."""

    name: str
    reason: str


class Target(Protocol):
    """Receives the members' text; `name` is a bare file name."""

    def begin(self, name: str, mtime: float) -> None: ...

    def take(self, text: bytes) -> None: ...

    def end(self) -> None:
        """The member is complete, and its checksum right."""


class Member(NamedTuple):
    """What a member and its entry in the central directory must agree on."""

    name: str
    crc: int
    size: int
    offset: int


class Reader:
    """Call `feed` with all chunks in order, then `close`. Both raise Damaged; trust nothing before `close` returns.

    `files` and `text_bytes` count what was read so far; `close` fills `skipped`.
    """

    def __init__(self, target: Target | None = None) -> None:
        self.text_bytes = 0
        self.skipped: list[Skipped] = []
        self._target = target
        self._members: list[Member] = []
        self._report = bytearray()
        self._chunk = memoryview(b"")
        self._at = 0  # in the chunk
        self._offset = 0  # in the archive
        self._directory = bytearray()
        self._directory_at = 0
        self._name = ""
        self._crc = 0
        self._size = 0
        self._steps = self._read()
        next(self._steps)

    @property
    def files(self) -> int:
        """Session files, without the report of skipped files."""
        return sum(member.name != SKIPPED for member in self._members)

    def feed(self, chunk: bytes) -> None:
        self._steps.send(chunk)

    def close(self) -> None:
        """Verify the end. Call it after the last chunk."""
        if self._directory[-END_SIZE : -END_SIZE + 4] != END:
            raise Damaged("The archive is cut short.")
        if self._entries() != self._members:
            raise Damaged("The archive's central directory does not list what is in it.")
        if len({member.name for member in self._members}) < len(self._members):
            raise Damaged("The archive holds two members of the same name.")
        if len(self._members) > self.files:
            self.skipped = self._reported()

    def _read(self) -> Steps:
        while (signature := (yield from self._exactly(4))) == LOCAL:
            yield from self._member()
        self._directory_at = self._offset - 4
        self._directory += signature
        while True:
            self._directory += yield from self._piece()

    def _member(self) -> Steps:
        offset = self._offset - 4
        header = yield from self._exactly(HEADER.size)
        _, flags, method, _, _, crc, packed, size, name_length, extra_length = HEADER.unpack(header)
        self._name = _member_name((yield from self._exactly(name_length)))
        extra = _extra_fields((yield from self._exactly(extra_length)))
        zip64 = extra.get(ZIP64)
        if zip64 is not None and not flags & SIZES_FOLLOW:
            size, packed = _unpack(ZIP64_SIZES, zip64)
        self._begin(extra)
        if method == DEFLATED:
            taken = yield from self._inflate()
        elif method == STORED and not flags & SIZES_FOLLOW:
            taken = yield from self._copy(packed)
        else:
            raise self._damaged("is compressed in a way that no export is")
        if flags & SIZES_FOLLOW:
            descriptor = DESCRIPTOR_32 if zip64 is None else DESCRIPTOR_64
            signature, crc, packed, size = descriptor.unpack((yield from self._exactly(descriptor.size)))
            if signature != DESCRIPTOR:
                raise self._damaged("does not end where it should")
        if (crc, size, packed) != (self._crc, self._size, taken):
            raise self._damaged("does not match its checksum")
        self._members.append(Member(self._name, crc, size, offset))
        if self._target is not None:
            self._target.end()

    def _begin(self, extra: dict[int, bytes]) -> None:
        self._crc = self._size = 0
        if self._target is not None:
            _, mtime = _unpack(UNIX_TIME, extra[TIMESTAMP]) if TIMESTAMP in extra else (0, 0)
            self._target.begin(self._name, mtime)

    def _inflate(self) -> Generator[None, bytes, int]:
        """Read a deflate stream to its end; return its length."""
        begin = self._offset
        inflater = isal_zlib.decompressobj(-15)
        while not inflater.eof:
            piece = yield from self._piece()
            try:
                self._text(inflater.decompress(piece))
            except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stub has an instance for the class
                raise self._damaged("cannot be inflated") from error
        self._give_back(len(inflater.unused_data))
        return self._offset - begin

    def _copy(self, count: int) -> Generator[None, bytes, int]:
        left = count
        while left:
            piece = yield from self._piece()
            text = bytes(piece[:left])
            self._give_back(len(piece) - len(text))
            self._text(text)
            left -= len(text)
        return count

    def _text(self, text: bytes) -> None:
        self._crc = isal_zlib.crc32(text, self._crc)
        self._size += len(text)
        self.text_bytes += len(text)
        if self._name == SKIPPED:
            self._report += text
        if self._target is not None:
            self._target.take(text)

    def _exactly(self, count: int) -> Generator[None, bytes, bytes]:
        kept = bytearray()
        while len(kept) < count:
            piece = yield from self._piece()
            wanted = count - len(kept)
            kept += piece[:wanted]
            self._give_back(max(len(piece) - wanted, 0))
        return bytes(kept)

    def _piece(self) -> Generator[None, bytes, memoryview]:
        """The next bytes, at least one; waits for the next chunk when this one is used up."""
        while self._at == len(self._chunk):
            self._chunk = memoryview((yield))
            self._at = 0
        piece = self._chunk[self._at : self._at + PIECE]
        self._at += len(piece)
        self._offset += len(piece)
        return piece

    def _give_back(self, count: int) -> None:
        self._at -= count
        self._offset -= count

    def _entries(self) -> list[Member]:
        """The members by the central directory."""
        try:
            with zipfile.ZipFile(_Behind(bytes(self._directory), self._directory_at)) as archive:
                return [
                    Member(item.filename, item.CRC, item.file_size, item.header_offset) for item in archive.infolist()
                ]
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, IndexError) as error:
            raise Damaged("The archive's central directory cannot be read.") from error

    def _reported(self) -> list[Skipped]:
        try:
            return [Skipped(str(row["name"]), str(row["reason"])) for row in json.loads(self._report)]
        except (ValueError, TypeError, KeyError) as error:
            raise Damaged(f"The archive's {SKIPPED} cannot be read.") from error

    def _damaged(self, how: str) -> Damaged:
        return Damaged(f"The archive is damaged: {self._name} {how}.")


class _Behind(io.BytesIO):
    """The end of a file, read as if the `begin` bytes before it were there."""

    def __init__(self, end: bytes, begin: int) -> None:
        super().__init__(end)
        self._begin = begin

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        within = offset - self._begin if whence == io.SEEK_SET else offset
        return super().seek(within, whence) + self._begin

    def tell(self) -> int:
        return super().tell() + self._begin


def _member_name(name: bytes) -> str:
    text = name.decode("ascii", "backslashreplace")
    if not MEMBER.fullmatch(text):
        raise Damaged(f"The archive holds {text!r}, which is not the name of a session file.")
    return text


def _extra_fields(extra: bytes) -> dict[int, bytes]:
    found = {}
    while extra:
        kind, length = _unpack(EXTRA_FIELD, extra)
        found[kind] = extra[EXTRA_FIELD.size : EXTRA_FIELD.size + length]
        extra = extra[EXTRA_FIELD.size + length :]
    return found


def _unpack(form: struct.Struct, data: bytes) -> tuple[int, ...]:
    try:
        return form.unpack_from(data)
    except struct.error as error:
        raise Damaged("The archive is damaged: a member's header cannot be read.") from error
