"""The central directory and the end records, compared with the members that were read.

Every other program trusts them unseen, so they must list exactly what is in the archive.
"""

from service.client.chunks import Chunks, Reading
from service.client.errors import Damaged
from service.client.members import Entry, Members
from service.client.zip_format import (
    END,
    END_RECORD,
    ENTRY,
    ENTRY_HEADER,
    IN_ZIP64_16,
    IN_ZIP64_32,
    ZIP64,
    ZIP64_END,
    ZIP64_END_LOCATOR,
    ZIP64_END_RECORD,
    ZIP64_LOCATOR,
    extra_fields,
    zip64_values,
)


def read_directory(chunks: Chunks, signature: bytes, members: Members) -> Reading[None]:
    """Read to the end of the archive; `signature` is what follows the last member. Raises Damaged."""
    begin = chunks.offset - len(signature)
    count = 0
    while signature == ENTRY:
        entry = yield from _read_entry(chunks)
        if count == len(members) or entry != members.entry(count):
            raise _wrong_directory()
        count += 1
        signature = yield from chunks.read(4)
    end = chunks.offset - 4
    if count != len(members):
        raise _wrong_directory()
    yield from _read_end(chunks, signature, (count, end - begin, begin), end)


def _read_entry(chunks: Chunks) -> Reading[Entry]:
    header = ENTRY_HEADER.unpack((yield from chunks.read(ENTRY_HEADER.size)))
    _, _, _, _, _, crc, packed, size, name_length, extra_length, comment_length, _, _, _, offset = header
    rest = yield from chunks.read(name_length + extra_length + comment_length)
    extra = extra_fields(rest[name_length : name_length + extra_length])
    size, packed, offset = zip64_values((size, packed, offset), extra.get(ZIP64))
    return Entry(rest[:name_length].decode("ascii", "backslashreplace"), crc, packed, size, offset)


def _read_end(chunks: Chunks, signature: bytes, expected: tuple[int, int, int], offset: int) -> Reading[None]:
    """`expected` are the directory's entries, its size and its offset."""
    large = None
    if signature == ZIP64_END:
        record = ZIP64_END_RECORD.unpack((yield from chunks.read(ZIP64_END_RECORD.size)))
        large = record[-3:]
        signature = yield from chunks.read(4)
        _, record_offset, _ = ZIP64_END_LOCATOR.unpack((yield from chunks.read(ZIP64_END_LOCATOR.size)))
        if signature != ZIP64_LOCATOR or record_offset != offset or large != expected or record[-4] != expected[0]:
            raise _wrong_directory()
        signature = yield from chunks.read(4)
    if signature != END:
        raise _wrong_directory()
    _, _, here, entries, size, begin, comment = END_RECORD.unpack((yield from chunks.read(END_RECORD.size)))
    limits = (IN_ZIP64_16, IN_ZIP64_32, IN_ZIP64_32)
    for value, right, limit in zip((entries, size, begin), expected, limits, strict=True):
        if value != right and not (large and value == limit):
            raise _wrong_directory()
    if here != entries or comment:
        raise _wrong_directory()


def _wrong_directory() -> Damaged:
    return Damaged("The archive's central directory does not list what is in it.")
