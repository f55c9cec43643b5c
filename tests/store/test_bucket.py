"""A server that checks signatures accepts ours, and a wrong secret makes the store unavailable."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from service.config import S3, Storage
from service.pools import Pool
from service.store import SessionStore, StoreUnavailable, open_store
from tests.s3 import s3_server

DIRECTORIES = ["plain", "a b", "a+b@example.com", "é", "100%", "a~b", "a=b&c", "a'(b)*!"]
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@pytest.fixture(scope="module")
def strict_server() -> Iterator[tuple[str, dict[str, str]]]:
    """The server's URL, and the only credentials that it takes."""
    boto3: Any = pytest.importorskip("boto3", reason="moto is not installed")
    setup = 4 + len(DIRECTORIES)  # requests after which the server wants a valid signature
    with s3_server(INITIAL_NO_AUTH_ACTION_COUNT=str(setup)) as url:
        of = {"endpoint_url": url, "region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "y"}
        iam, s3 = boto3.client("iam", **of), boto3.client("s3", **of)
        iam.create_user(UserName="reader")
        iam.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=json.dumps(POLICY))
        key = iam.create_access_key(UserName="reader")["AccessKey"]
        s3.create_bucket(Bucket="sessions")
        for directory in DIRECTORIES:
            s3.put_object(Bucket="sessions", Key=f"{directory}/a.jsonl", Body=directory.encode())
        yield url, {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


@pytest.fixture
def store(
    strict_server: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch, pool: Pool
) -> Iterator[SessionStore]:
    url, credentials = strict_server
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    made = open_store(Storage.model_validate({"root": "s3://sessions", "s3": S3(endpoint=url, path_style=True)}), pool)
    yield made
    made.close()


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_every_request_is_signed_as_the_server_expects(store: SessionStore, directory: str) -> None:
    store.check()
    assert store.directories() == sorted(DIRECTORIES)
    files = store.user_files((directory,))
    assert files.exists
    assert files.list().names == ["a.jsonl"]
    file = files.open("a.jsonl")
    assert file.read_at(0, file.size) == directory.encode()
    file.close()
    files.close()


def test_a_wrong_secret_makes_the_store_unavailable(store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    files = store.user_files(("plain",))
    for call in (store.check, files.list, lambda: files.open("a.jsonl")):
        with pytest.raises(StoreUnavailable) as raised:
            call()
        assert "SignatureDoesNotMatch" in str(raised.value.__cause__)
