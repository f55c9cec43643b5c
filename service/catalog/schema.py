"""The schema and its versions. An older catalog is upgraded; a newer one is rejected.

`schema.sql` is for both engines, `duckdb.sql` and `postgres.sql` are for one. They only create what is missing. If you
change one of them, raise VERSION, or existing catalogs are not upgraded. A file named `<engine>_<version>.sql` converts
the rows of the previous version.
"""

from importlib.resources import files

from service.catalog.database import CatalogUnusable, Cursor

HAS_VERSION = """
    SELECT 1 FROM information_schema.tables
    WHERE table_schema = current_schema() AND table_name = 'schema_version'
"""

# 1 had no table `schema_version`, 2 no `session_index`, 3 no `audit_totals`, 4 no macro `pg_advisory_xact_lock`, 5 no
# `running` in DuckDB.
VERSION = 6


def prepare_schema(cursor: Cursor, engine: str) -> None:
    """Create or upgrade the tables, in one transaction. Raises CatalogError and CatalogUnusable."""
    with cursor.transaction():
        if engine == "postgres":  # several replicas may start at once, and CREATE ... IF NOT EXISTS fails then
            cursor.query("SET LOCAL statement_timeout = 0")  # an index on a large table takes its time
            cursor.query("SET LOCAL lock_timeout = 0")
            cursor.query("SELECT pg_advisory_xact_lock(5305)")
        found = _version(cursor)
        if found > VERSION:
            raise CatalogUnusable(
                f"its schema has version {found}, and this release knows versions up to {VERSION}: a newer release has "
                "used it; run that one"
            )
        if found == VERSION:
            return
        _run(cursor, "schema.sql")
        _run(cursor, f"{engine}.sql")
        for version in range(found + 1, VERSION + 1):
            if files(__package__).joinpath(f"{engine}_{version}.sql").is_file():
                _run(cursor, f"{engine}_{version}.sql")
        cursor.query("DELETE FROM schema_version")
        cursor.query("INSERT INTO schema_version (version) VALUES ($1)", [VERSION])


def _version(cursor: Cursor) -> int:
    """The version of the schema; 0 for an empty catalog or one without a version."""
    if not cursor.query(HAS_VERSION):
        return 0
    rows = cursor.query("SELECT version FROM schema_version")
    return max((row["version"] for row in rows), default=0)


def _run(cursor: Cursor, name: str) -> None:
    """Run all statements of a file."""
    statements = files(__package__).joinpath(name).read_text("utf-8")
    cursor.query(statements)
