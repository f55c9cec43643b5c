"""Tests that run on both engines of the catalog."""

import pytest

both_engines = pytest.mark.parametrize("catalog_url", ["duckdb", "postgres"], indirect=True)
# For a module that has little to do with the catalog: PostgreSQL in the long run only.
both_engines_if_long = pytest.mark.parametrize(
    "catalog_url", ["duckdb", pytest.param("postgres", marks=pytest.mark.long)], indirect=True
)
