"""Users in a CSV file."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

COLUMNS = ("id", "email", "name")
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")
LONGEST = 200  # characters of an id, an e-mail or a name


class ImportRefused(click.ClickException):
    """The file cannot be imported. The text names the line and the reason."""


@dataclass(frozen=True, slots=True)
class FileUser:
    """A user, and the number of the file's line."""

    line: int
    id: str
    email: str
    name: str | None


def read_users(file: Path) -> list[FileUser]:
    """The users of a CSV file with the header id,email,name, in any order. Other columns are ignored.

    Raises ImportRefused, also where two lines have the same id or e-mail, or OSError.
    """
    lines_by_id: dict[str, int] = {}
    ids_by_email: dict[str, str] = {}
    users = []
    for user in _parse(file):
        if user.id in lines_by_id:
            raise refused(file, user, f"the id {user.id!r} is also that of line {lines_by_id[user.id]}")
        if user.email in ids_by_email:
            raise refused(file, user, f"the e-mail {user.email!r} belongs to {ids_by_email[user.email]!r}")
        lines_by_id[user.id] = user.line
        ids_by_email[user.email] = user.id
        users.append(user)
    return users


def refused(file: Path, user: FileUser, reason: str) -> ImportRefused:
    return ImportRefused(f"{file}, line {user.line}: {reason}")


def _parse(file: Path) -> Iterator[FileUser]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise ImportRefused(f"{file}: the first line must name the columns id,email,name; missing: {missing}")
            for row in reader:
                user_id, email, name = ((row[column] or "").strip() for column in COLUMNS)
                user = FileUser(reader.line_num, user_id, email, name or None)
                if mistake := _mistake_of(user):
                    raise refused(file, user, mistake)
                yield user
        except (csv.Error, UnicodeDecodeError) as error:
            raise ImportRefused(f"{file}, line {reader.line_num}: not CSV in UTF-8: {error}") from error


def _mistake_of(user: FileUser) -> str | None:
    if not user.id or not user.email:
        return "a user needs an id and an e-mail"
    if not EMAIL.fullmatch(user.email):
        return f"{user.email!r} is no e-mail"
    for text in (user.id, user.email, user.name or ""):
        if len(text) > LONGEST or not text.isprintable():
            return f"{text[:LONGEST]!r} is longer than {LONGEST} characters or cannot be printed"
    return None
