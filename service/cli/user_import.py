"""Import users from a CSV file into the catalog."""

import csv
from collections.abc import Iterator
from pathlib import Path

from service.catalog import User, Users, open_catalog
from service.config import Settings
from service.pools import Pool

COLUMNS = ("id", "email", "name")


class ImportRefused(Exception):
    """The file cannot be imported. The text names the line and the reason."""


async def import_file(file: Path, settings: Settings) -> tuple[int, int]:
    """Add the file's users, all or none. Return how many were added, and how many were there already.

    Raises ImportRefused, CatalogError or OSError.
    """
    users = list(read_users(file))
    pool = Pool("catalog", 1)
    database = await open_catalog(settings.catalog, pool)
    try:
        return await Users(database).add(users)
    finally:
        database.close()


def read_users(file: Path) -> Iterator[User]:
    """The users of a CSV file with the header id,email,name, in any order. Other columns are ignored."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise ImportRefused(f"{file}: the first line must name the columns id,email,name; missing: {missing}")
            for row in reader:
                user_id, email, name = ((row[column] or "").strip() for column in COLUMNS)
                if not user_id or not email:
                    raise ImportRefused(f"{file}, line {reader.line_num}: a user needs an id and an e-mail")
                yield User(user_id, email, name or None)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ImportRefused(f"{file}, line {reader.line_num}: not CSV in UTF-8: {error}") from error
