"""`session-export token`: the token, and the lines for the configuration."""

import hashlib
from pathlib import Path

import yaml

from tests.command import run


def test_the_lines_have_the_digest_of_the_token_and_never_the_token(tmp_path: Path) -> None:
    name = "it's: #1"
    done = run("token", "--user-id", "u-1", "--admin", "--name", name, cwd=tmp_path)
    shown, _, lines = done.stdout.partition("config.yaml:\n")
    token = shown.split("\n\n")[1].strip()
    assert token not in lines
    digest = hashlib.sha256(token.encode()).hexdigest()
    assert yaml.safe_load(lines) == [{"name": name, "user_id": "u-1", "admin": True, "sha256": digest}]


def test_a_token_has_the_users_id_as_name_and_is_no_admins_unless_asked_for(tmp_path: Path) -> None:
    lines = run("token", "--user-id", "u-1", cwd=tmp_path).stdout.partition("config.yaml:\n")[2]
    (entry,) = yaml.safe_load(lines)
    assert (entry["name"], entry["admin"]) == ("u-1", False)
