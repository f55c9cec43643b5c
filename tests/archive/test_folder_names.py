"""Folders of users whose ids file systems would confuse."""

import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.archive.folder_names import folder_path

AWKWARD = [
    "alice", "Alice", "ALICE", "alice.", "alice..", "alice ", " alice", "alice/", "/alice", "a/lice", "..", ".", "",
    ".alice", "-rf", "_manifest.json", "con", "CON", "con.txt", "com1", "nul", "a:b", "a?b", "alice~1", "a\\b", "a\0b",
    "zoë", "zoe\u0308", "ﬁ", "fi", "İ", "i̇", "😀" * 300, "😀" * 299, "a" * 100, "a" * 101, "a" * 300, "\udc80",
]  # fmt: skip


def on_disk(path: str) -> str:
    """As Windows and macOS see it: without case, without dots and blanks at the end of a name."""
    return path.removesuffix("/").casefold().rstrip(". ")


@pytest.mark.parametrize("user_id", ["u-1", "alice", "0", "a.b_c-d", "a" * 100])
def test_a_plain_id_is_the_folder(user_id: str) -> None:
    assert folder_path(user_id) == f"{user_id}/"


def test_no_two_users_share_a_folder_on_any_file_system() -> None:
    for one, other in combinations(AWKWARD, 2):
        assert on_disk(folder_path(one)) != on_disk(folder_path(other)), (one, other)


@given(st.one_of(st.text(max_size=50), st.sampled_from(AWKWARD)))
def test_a_folder_is_a_plain_name_whatever_the_id_is(user_id: str) -> None:
    path = folder_path(user_id)
    assert re.fullmatch(r"[a-z0-9][a-z0-9._~-]*[a-z0-9_-]/|[a-z0-9]/", path)
    assert len(path) <= 101
    assert not re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?/", path)
