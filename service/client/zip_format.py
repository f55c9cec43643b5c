"""The parts of the ZIP format that an export can hold.

APPNOTE, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT; sections are named beside each structure, without
the signature of four bytes.
"""

import re
import struct

from service.client.errors import Damaged

LOCAL = b"PK\x03\x04"
DESCRIPTOR = b"PK\x07\x08"
ENTRY = b"PK\x01\x02"
ZIP64_END = b"PK\x06\x06"
ZIP64_LOCATOR = b"PK\x06\x07"
END = b"PK\x05\x06"

LOCAL_HEADER = struct.Struct("<HHHIIIIHH")  # 4.3.7
DESCRIPTOR_32 = struct.Struct("<4sIII")  # 4.3.9, with its signature
DESCRIPTOR_64 = struct.Struct("<4sIQQ")
ENTRY_HEADER = struct.Struct("<HHHHIIIIHHHHHII")  # 4.3.12
ZIP64_END_RECORD = struct.Struct("<QHHIIQQQQ")  # 4.3.14
ZIP64_END_LOCATOR = struct.Struct("<IQI")  # 4.3.15
END_RECORD = struct.Struct("<HHHHIIH")  # 4.3.16
EXTRA_FIELD = struct.Struct("<HH")  # 4.5.1
UNIX_TIME = struct.Struct("<Bi")  # 4.6.1, Info-ZIP's extended timestamp

ZIP64, TIMESTAMP = 0x0001, 0x5455  # extra fields (4.5.2)
SIZES_FOLLOW = 0x0008  # the flag for a data descriptor (4.4.4)
STORED, DEFLATED = 0, 8  # compression methods (4.4.5)
IN_ZIP64_16, IN_ZIP64_32 = 0xFFFF, 0xFFFFFFFF  # stand for a value that is in a ZIP64 structure (4.4.1.4)

MANIFEST = "_manifest.json"
MEMBERS = "_members.jsonl"
RESULT = "_result.json"
SKIPPED = "_skipped.json"
SESSION = re.compile(r"(?:(?!\.{1,2}/)[A-Za-z0-9@%+=~,!._-]{1,255}/)?[A-Za-z0-9._-]+\.jsonl")


def extra_fields(extra: bytes) -> dict[int, bytes]:
    """Each field's data by its id. Raises Damaged."""
    fields = {}
    while extra:
        kind, length = unpack(EXTRA_FIELD, extra)
        fields[kind] = extra[EXTRA_FIELD.size : EXTRA_FIELD.size + length]
        extra = extra[EXTRA_FIELD.size + length :]
    return fields


def zip64_values(values: tuple[int, ...], field: bytes | None) -> tuple[int, ...]:
    """The values, each that is 0xFFFFFFFF replaced by the next of the ZIP64 field (4.5.3). Raises Damaged."""
    count = values.count(IN_ZIP64_32)
    if field is None or not count:
        return values
    large = iter(unpack(struct.Struct(f"<{count}Q"), field))
    return tuple(next(large) if value == IN_ZIP64_32 else value for value in values)


def unpack(form: struct.Struct, data: bytes) -> tuple[int, ...]:
    """Integers from the beginning of the data. Raises Damaged where it is too short."""
    try:
        return form.unpack_from(data)
    except struct.error as error:
        raise Damaged("The archive is damaged: a header cannot be read.") from error
