"""ZIP64 member by member: who has it, in the archive's own bytes."""

import io
import zipfile
import zlib
from typing import Any

import pytest
from stream_zip import NO_COMPRESSION_32, NO_COMPRESSION_64, ZIP_32, ZIP_64, Method, stream_zip

from service.archive.framing import LARGEST_32, MODE, MOST_32, zip_time
from service.archive.methods import MemberMethod

ZIP64_END = b"PK\x06\x06"


def compressor() -> Any:
    return zlib.compressobj(wbits=-zlib.MAX_WBITS)


def made(members: int, *, stored: bool) -> bytes:
    """An archive of small members, of which the first is empty."""
    return b"".join(
        stream_zip(
            (
                (f"{n:06}", zip_time(0), MODE, MemberMethod(len(text), zlib.crc32(text) if stored else None), [text])
                for n in range(members)
                for text in [b"%d" % n if n else b""]
            ),
            get_compressobj=compressor,
        )
    )


@pytest.mark.parametrize("stored", [False, True], ids=["deflated", "stored"])
@pytest.mark.parametrize(
    ("members", "ends_in_zip64"),
    [
        (3, False),
        pytest.param(65_535, False, marks=pytest.mark.long),
        pytest.param(65_536, True, marks=pytest.mark.long),
    ],
)
def test_small_members_never_have_zip64_and_the_end_records_from_65_536_members_on(
    members: int, stored: bool, ends_in_zip64: bool
) -> None:
    data = made(members, stored=stored)
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        infos = opened.infolist()
        assert len(infos) == members
        assert {info.extract_version for info in infos} == {20}
        assert opened.read(infos[-1]) == b"%d" % (members - 1)
    assert {data[info.header_offset + 4] for info in infos} == {20}, "version needed, in the local headers"
    assert (ZIP64_END in data[-200:]) == ends_in_zip64


@pytest.mark.parametrize(
    ("size", "offset", "expected"),
    [
        (0, 0, False),
        (LARGEST_32, MOST_32, False),
        (LARGEST_32 + 1, 0, True),
        (2**32, 0, True),
        (0, MOST_32 + 1, True),
    ],
)
@pytest.mark.parametrize("stored_crc", [None, 5])
def test_a_member_has_zip64_where_it_is_large_or_begins_behind_4_gib(
    size: int, offset: int, expected: bool, stored_crc: int | None
) -> None:
    if stored_crc is None:
        like: Method = ZIP_64 if expected else ZIP_32
    else:
        like = (NO_COMPRESSION_64 if expected else NO_COMPRESSION_32)(size, stored_crc)
    kind, _, *rest = MemberMethod(size, stored_crc)._get(offset, compressor)
    like_kind, _, *like_rest = like._get(offset, compressor)
    assert kind is like_kind
    assert rest == like_rest, "our own compressor, size and checksum"
