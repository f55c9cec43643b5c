"""How values are written in tables."""

import pytest

from service.cli.tables import format_size


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_499, "999 kB"), (999_500, "1 MB"), (2.8e8, "280 MB"),
     (5e15, "5e+03 TB")],
)  # fmt: skip
def test_sizes(count: float, text: str) -> None:
    assert format_size(count) == text
