"""A streamed ZIP, verified while it arrives: each member is inflated and compared with its checksum and sizes, the
central directory with the members, and the manifest, where there is one, with both.

The library for this (stream-unzip) is not used: it inflates with zlib, at a quarter of igzip's speed, and does not read
the central directory. This reader accepts only what an export can contain; it reports everything else as damage.
"""

import hashlib
from typing import Protocol

from isal import igzip_lib, isal_zlib

from service.client.chunks import Chunks, Reading
from service.client.directory import read_directory
from service.client.errors import Damaged
from service.client.manifest import Findings, Manifest, Skipped, parse_skipped
from service.client.members import Entry, Members
from service.client.zip_format import (
    DEFLATED,
    DESCRIPTOR,
    DESCRIPTOR_32,
    DESCRIPTOR_64,
    LOCAL,
    LOCAL_HEADER,
    MANIFEST,
    MEMBERS,
    RESULT,
    SESSION,
    SIZES_FOLLOW,
    SKIPPED,
    STORED,
    TIMESTAMP,
    UNIX_TIME,
    ZIP64,
    extra_fields,
    unpack,
    zip64_values,
)

REPORT_LIMIT = 256 * 1024 * 1024  # bytes of a member that is held in memory, such as _skipped.json


class Target(Protocol):
    """Receives the members' text. A `name` has at most one slash, and neither part leaves its directory."""

    def begin(self, name: str, mtime: float) -> None: ...

    def take(self, text: bytes) -> None: ...

    def end(self) -> None:
        """The member is complete, and its checksum right."""


class Reader:
    """Call `feed` with all chunks in order, then `close`. Both raise Damaged; trust nothing before `close` returns.

    `files` (session files) and `text_bytes` count what was read so far; `skipped` and `findings` are filled by the
    last members.
    """

    def __init__(self, target: Target | None = None) -> None:
        self.files = 0
        self.text_bytes = 0
        self.skipped: list[Skipped] = []
        self.findings = Findings()
        self._target = target
        self._members = Members()
        self._manifest: Manifest | None = None
        self._chunks = Chunks()
        self._name = ""
        self._text = _Text()
        self._complete = False
        self._steps = self._read()
        next(self._steps)

    @property
    def has_manifest(self) -> bool:
        return self._manifest is not None

    def feed(self, chunk: bytes) -> None:
        self._chunks.push(chunk)
        next(self._steps)

    def close(self) -> None:
        """Verify the end. Call it after the last chunk."""
        if not self._complete:
            raise Damaged("The archive is cut short.")
        if self._manifest and self._name != RESULT:
            raise Damaged(f"The archive is not complete: it has no {RESULT}.")
        if len(set(self._members.names)) < len(self._members):
            raise Damaged("The archive holds two members of the same name.")
        self.findings.raise_differences()

    def _read(self) -> Reading[None]:
        while (signature := (yield from self._chunks.read(4))) == LOCAL:
            yield from self._read_member()
        yield from read_directory(self._chunks, signature, self._members)
        self._complete = True
        yield from self._chunks.read_piece()
        raise Damaged("The archive has bytes behind its end.")

    def _read_member(self) -> Reading[None]:
        offset = self._chunks.offset - 4
        header = LOCAL_HEADER.unpack((yield from self._chunks.read(LOCAL_HEADER.size)))
        _, flags, method, _, crc, packed, size, name_length, extra_length = header
        rest = yield from self._chunks.read(name_length + extra_length)
        extra = extra_fields(rest[name_length:])
        self._begin(rest[:name_length], extra)
        if method == DEFLATED:
            taken = yield from self._inflate()
        elif method == STORED and not flags & SIZES_FOLLOW:
            size, packed = zip64_values((size, packed), extra.get(ZIP64))
            taken = yield from self._copy(packed)
        else:
            raise self._damaged("is compressed in a way that no export is")
        if flags & SIZES_FOLLOW:
            crc, packed, size = yield from self._read_descriptor(large=ZIP64 in extra)
        if (crc, size, packed) != (self._text.crc, self._text.size, taken):
            raise self._damaged("does not match its checksum")
        self._end(packed, offset)

    def _begin(self, encoded: bytes, extra: dict[int, bytes]) -> None:
        name = encoded.decode("ascii", "backslashreplace")
        if name not in (MANIFEST, RESULT, SKIPPED) and not SESSION.fullmatch(name):
            raise Damaged(f"The archive holds {name!r}, which is not the name of a session file.")
        if not self._may_follow(name):
            raise Damaged(f"The archive holds {name!r} at a place where no export has it.")
        if name == MANIFEST:
            self._manifest = Manifest(self._members, self.findings)
        self._name = name
        self._text = _Text(with_digest=self._manifest is not None, kept=name in (MANIFEST, RESULT, SKIPPED))
        if self._target is not None:
            _, mtime = unpack(UNIX_TIME, extra[TIMESTAMP]) if TIMESTAMP in extra else (0, 0)
            self._target.begin(name, mtime)

    def _may_follow(self, name: str) -> bool:
        """Whether this member can follow the previous one in an export."""
        if self._manifest is None:
            return not self._members if name == MANIFEST else self._name != SKIPPED and name != RESULT
        if self._name == MEMBERS:
            return name == RESULT
        return self._name != RESULT and name not in (MANIFEST, RESULT, SKIPPED)

    def _end(self, packed: int, offset: int) -> None:
        text = self._text
        if self._manifest is not None and self._name == RESULT:
            self.skipped = self._manifest.check_result(bytes(text.kept))
        elif self._manifest is not None and self._name == MANIFEST:
            self._manifest.check_manifest(bytes(text.kept))
        elif self._name == SKIPPED:
            self.skipped = parse_skipped(SKIPPED, bytes(text.kept))
        elif self._manifest is None or self._name != MEMBERS:
            self.files += 1
        self._members.append(Entry(self._name, text.crc, packed, text.size, offset), text.digest())
        if self._target is not None:
            self._target.end()

    def _inflate(self) -> Reading[int]:
        """Read a deflate stream to its end; return its length."""
        begin = self._chunks.offset
        inflater = isal_zlib.decompressobj(-15)
        while not inflater.eof:
            piece = yield from self._chunks.read_piece()
            try:
                self._take(inflater.decompress(piece))
            except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stub has an instance for the class
                raise self._damaged("cannot be inflated") from error
        self._chunks.unread(len(inflater.unused_data))
        return self._chunks.offset - begin

    def _copy(self, count: int) -> Reading[int]:
        left = count
        while left:
            piece = yield from self._chunks.read_piece()
            text = bytes(piece[:left])
            self._chunks.unread(len(piece) - len(text))
            self._take(text)
            left -= len(text)
        return count

    def _read_descriptor(self, *, large: bool) -> Reading[tuple[int, int, int]]:
        """CRC-32, compressed size and size. A member with a ZIP64 field has eight bytes for each size (4.3.9.2)."""
        form = DESCRIPTOR_64 if large else DESCRIPTOR_32
        signature, crc, packed, size = form.unpack((yield from self._chunks.read(form.size)))
        if signature != DESCRIPTOR:
            raise self._damaged("does not end where it should")
        return crc, packed, size

    def _take(self, text: bytes) -> None:
        self._text.add(text)
        self.text_bytes += len(text)
        if self._manifest is not None and self._name == MEMBERS:
            self._manifest.read_lines(text)
        if self._target is not None:
            self._target.take(text)

    def _damaged(self, how: str) -> Damaged:
        return Damaged(f"The archive is damaged: {self._name} {how}.")


class _Text:
    """Accumulates the size, checksum and digest of a member's text."""

    def __init__(self, *, with_digest: bool = False, kept: bool = False) -> None:
        self.crc = self.size = 0
        self.kept = bytearray()
        self._keep = kept
        self._sha256 = hashlib.sha256() if with_digest else None

    def add(self, text: bytes) -> None:
        self.crc = isal_zlib.crc32(text, self.crc)
        self.size += len(text)
        if self._sha256 is not None:
            self._sha256.update(text)
        if self._keep:
            self.kept += text
            if len(self.kept) > REPORT_LIMIT:
                raise Damaged("The archive is damaged: a member that describes it is too large.")

    def digest(self) -> bytes:
        """SHA-256, or nothing."""
        return self._sha256.digest() if self._sha256 is not None else b""
