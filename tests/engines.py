"""Tests that run on both engines of the catalog."""

import pytest

both_engines = pytest.mark.parametrize("catalog_url", ["duckdb", "postgres"], indirect=True)
