"""Many rows in one statement: each column is one text parameter.

A list as parameter takes DuckDB a hundred times as long, and so does one statement per row in both engines.
"""

from collections.abc import Iterable

SEPARATOR = "\x1f"  # in SQL chr(31), between two values
NULL = "\x1e"
ESCAPES = {
    "\x1d": "\x1da",
    SEPARATOR: "\x1db",
    NULL: "\x1dc",
    "": "\x1dd",
}  # characters of a value, and their escapes
ESCAPED = str.maketrans({value: escape for value, escape in ESCAPES.items() if value})


def pack(values: Iterable[str | None]) -> str:
    """A column as text."""
    return SEPARATOR.join(map(_escape, values))


def unpack(number: int, kind: str) -> str:
    """The SQL for the values of a column, one per row, from the parameter with that number."""
    value = f"nullif(unnest(string_to_array(${number}, chr(31))), chr(30))"
    for escape, meant in (("d", "''"), ("c", "chr(30)"), ("b", "chr(31)"), ("a", "chr(29)")):
        value = f"replace({value}, chr(29) || '{escape}', {meant})"
    return f"CAST({value} AS {kind})"


def _escape(value: str | None) -> str:
    if value is None:
        return NULL
    return value.translate(ESCAPED) if value else ESCAPES[""]
