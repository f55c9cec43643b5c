"""The examples of docs/authentication.md are settings that work."""

import re
import textwrap
from pathlib import Path

from service.auth import check_authentication
from service.config import load_settings
from tests.docs.pages import page

EXAMPLE = re.compile(r"^((?:    (?:server|auth):.*\n(?:     .*\n)*)+)", re.MULTILINE)


def test_its_examples_are_settings_that_work(tmp_path: Path) -> None:
    found = []
    for example in EXAMPLE.findall(page("authentication")):
        (tmp_path / "config.yaml").write_text(textwrap.dedent(example))
        found.append(check_authentication(load_settings(tmp_path / "config.yaml", {})).auth)
    assert [auth.jwt is not None for auth in found] == [True, False]
    assert [auth.proxy is not None for auth in found] == [False, True]
