"""The line of the log that docs/operating.md shows has the keys of a real one."""

import json
import logging
import re

import pytest

from service.server.logs import JsonFormatter
from tests.docs.pages import page
from tests.world import World


async def test_the_line_of_the_log_has_the_keys_that_are_shown(
    service: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "service.http.access")
    await service.get("u-1/sessions/download-all")
    (record,) = (record for record in caplog.records if record.name == "service.http.access")
    (example,) = re.findall(r"^    (\{\"time\".*?\})$", page("operating"), re.MULTILINE | re.DOTALL)
    assert json.loads(example).keys() == json.loads(JsonFormatter().format(record)).keys()
