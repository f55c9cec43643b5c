"""Users in a CSV file, and files of which none is imported."""

from pathlib import Path

import pytest

from service.cli.user_file import FileUser, ImportRefused, read_users

HEADER = b"id,email,name\n"


def read(tmp_path: Path, text: bytes) -> list[FileUser]:
    file = tmp_path / "users.csv"
    file.write_bytes(text)
    return read_users(file)


def test_columns_come_in_any_order_and_others_are_ignored(tmp_path: Path) -> None:
    users = read(
        tmp_path, 'name,team,email,id\n"Ann, B.",x, a@example.com ,u1\n,y,b@example.com,u2\n'.encode("utf-8-sig")
    )
    assert users == [FileUser(2, "u1", "a@example.com", "Ann, B."), FileUser(3, "u2", "b@example.com", None)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"id,mail\nu1,a@example.com\n", "'email', 'name'"),
        (b"", "'id', 'email', 'name'"),
        (HEADER + b"u1,,Ann\n", "line 2: a user needs"),
        (HEADER + b"u1\n", "line 2: a user needs"),
        (HEADER + b"u1,Ann,Ann\n", "line 2: 'Ann' is no e-mail"),
        (HEADER + b"u1,a@example.com,A\x07\n", "line 2: .* cannot be printed"),
        (HEADER + b"u" * 201 + b",a@example.com,\n", "line 2: .* longer than 200"),
        (HEADER + b"u1,\xff@example.com,\n", "not CSV in UTF-8"),
        (HEADER + b"u1,a@example.com,\nu1,b@example.com,\n", "line 3: the id 'u1' is also that of line 2"),
        (HEADER + b"u1,a@example.com,\nu2,a@example.com,\n", "line 3: .* belongs to 'u1'"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line_and_the_reason(tmp_path: Path, text: bytes, reason: str) -> None:
    with pytest.raises(ImportRefused, match=reason):
        read(tmp_path, text)
