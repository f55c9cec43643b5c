"""The table `export_figures`: measured sizes and checksums of exported files, one text for each user and dialect.

It only saves time: figures that cannot be read count as missing, figures that cannot be written are dropped, and both
failures are logged. Rows are passed to SQL as columns, as in index.py.
"""

import base64
import logging
from collections.abc import Mapping, Sequence

from service.catalog.database import CatalogError, Cursor, Database
from service.catalog.index import SEPARATOR

log = logging.getLogger(__name__)

READ = """
    SELECT user_id, figures FROM export_figures
    WHERE dialect = $1 AND user_id IN (SELECT unnest(string_to_array($2, chr(31))))
"""
REMOVE = """
    DELETE FROM export_figures
    WHERE dialect = $1 AND user_id IN (SELECT unnest(string_to_array($2, chr(31))))
"""
ADD = """
    INSERT INTO export_figures (user_id, dialect, figures)
    SELECT unnest(string_to_array($2, chr(31))), $1, unnest(string_to_array($3, chr(31)))
"""


class Figures:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, user_ids: Sequence[str], dialect: bytes) -> list[tuple[str, bytes]]:
        """The texts of these users: one each, or several if replicas wrote at the same time."""
        parameters = [dialect.hex(), SEPARATOR.join(user_ids)]
        try:
            rows = await self._database.run(lambda cursor: cursor.query(READ, parameters))
        except CatalogError as error:
            log.warning("figures of earlier exports cannot be read: %s", error)
            return []
        return [(row["user_id"], base64.b64decode(row["figures"])) for row in rows]

    async def write(self, texts: Mapping[str, bytes], dialect: bytes) -> None:
        """Replace the texts of these users."""
        user_ids = SEPARATOR.join(texts)
        figures = SEPARATOR.join(base64.b64encode(text).decode() for text in texts.values())

        def work(cursor: Cursor) -> None:
            with cursor.transaction():
                cursor.query(REMOVE, [dialect.hex(), user_ids])
                cursor.insert(ADD, [dialect.hex(), user_ids, figures])

        try:
            await self._database.run(work)
        except CatalogError as error:
            log.warning("figures of an export are not kept: %s", error)
