"""What `storage.root` may be."""

from pathlib import Path

import pytest

from service.config import ConfigError, load_settings
from service.store.root import BucketRoot


def root_of(value: str) -> Path | BucketRoot:
    return load_settings(environ={"SESSION_EXPORT__STORAGE__ROOT": value}).storage.root


@pytest.mark.parametrize("value", ["data", "/data/sessions", "./s3", "data/s3:x"])
def test_a_path_is_a_directory(value: str) -> None:
    assert root_of(value) == Path(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("s3://sessions", BucketRoot("sessions", "")),
        ("s3://sessions/", BucketRoot("sessions", "")),
        ("s3://my.bucket-1/a", BucketRoot("my.bucket-1", "a/")),
        ("s3://sessions/a/b c/é/", BucketRoot("sessions", "a/b c/é/")),
    ],
)
def test_a_bucket_with_a_prefix(value: str, expected: BucketRoot) -> None:
    assert root_of(value) == expected
    assert root_of(str(expected)) == expected


@pytest.mark.parametrize(
    "value",
    [
        "s3:/sessions/a",
        "s3://",
        "s3:///a",
        "s3://x",
        "s3://Sessions",
        "s3://sessions?x=1",
        "s3://sessions//a",
        "s3://sessions/a//b",
        "s3://sessions/../a",
        "s3://sessions/a/..",
        "s3://sessions/./a",
        "s3://sessions/a\n/b",
        "S3://sessions",
        "https://sessions.s3.amazonaws.com/",
        "gs://sessions",
        "file:///data",
    ],
)
def test_a_url_that_is_no_bucket_stops_the_start(value: str) -> None:
    with pytest.raises(ConfigError, match=r"storage.root.*expected a directory, or s3://bucket/prefix"):
        root_of(value)


@pytest.mark.parametrize("value", ["s3.example.com", "ftp://s3.example.com", "http://", "http://s3/?x", "http://u@s3"])
def test_an_endpoint_that_is_no_url_stops_the_start(value: str) -> None:
    with pytest.raises(ConfigError, match=r"storage\.s3\.endpoint.*expected a URL such as"):
        load_settings(environ={"SESSION_EXPORT__STORAGE__S3__ENDPOINT": value})
