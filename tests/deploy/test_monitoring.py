"""The shipped alerts and dashboard: every metric they name exists, and Prometheus' own tool accepts them."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.config import Metrics
from service.server.metrics import METRICS
from tests.world import World

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "session-export.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def expressions() -> Iterator[tuple[str, str]]:
    """What each panel and alert asks, with its name."""
    for alert in alerts():
        yield alert["alert"], alert["expr"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


async def exported(world: World) -> dict[str, set[str]]:
    """The metrics of a service that has done something of everything, each with the names of its labels."""
    world.metrics = Metrics(port=0)
    service = await world.start()
    service.file("a.jsonl")
    await service.get("u-1/sessions/download-all")
    await service.get("u-1/sessions/a.jsonl/download")
    metrics = service.app[METRICS]
    assert metrics is not None
    labels: dict[str, set[str]] = {"up": {"job"}}
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            labels.setdefault(sample.name, {"job"}).update(sample.labels)
    return labels


async def test_every_metric_and_label_that_is_asked_for_exists(world: World) -> None:
    known = await exported(world)
    for title, expression in expressions():
        asked = re.findall(r"\b(session_export_\w+|up)\b(?:\{([^}]*(?:\{\w+\}[^}]*)?)\})?", expression)
        assert asked, title
        for name, selectors in asked:
            assert name in known, f"{title}: {name}"
            for label in re.findall(r'(\w+)(?:=~|!~|!=|=)"', selectors):
                assert label in known[name], f"{title}: {name} has no label {label}"


async def test_the_dashboard_shows_every_metric(world: World) -> None:
    text = DASHBOARD.read_text()
    of_python = ("session_export_process_virtual", "session_export_process_start")
    for name in await exported(world):
        if not name.endswith(("_created", "_bucket", "_count", "_sum")) and not name.startswith(of_python):
            assert name in text, name
        if name.endswith("_bucket"):
            assert name in text or name.replace("_bucket", "_count") in text, name


def test_the_dashboard_has_one_place_for_each_panel() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells


def test_there_are_few_alerts_and_each_says_what_to_do() -> None:
    assert len(alerts()) == 7
    for alert in alerts():
        assert alert["labels"] == {"severity": "page"}
        assert len(alert["annotations"]["action"].split()) > 8


@needs_promtool
@pytest.mark.parametrize(
    "command",
    [("check", "rules", "alerts.yml"), ("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")],
)
def test_prometheus_own_tool_accepts_it(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["promtool", *command], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_replicas_count_together() -> None:
    """One question has one answer, however many instances there are: but for the process, which is each one's own."""
    for title, expression in expressions():
        assert title == "Process" or re.search(r"\b(sum|avg|min|max)\b", expression), f"{title}: {expression}"


@needs_promtool
def test_each_alert_is_played_through() -> None:
    played = yaml.safe_load((DEPLOY / "prometheus" / "alerts_test.yml").read_text())["tests"]
    fired = {rule["alertname"] for test in played for rule in test["alert_rule_test"] if rule["exp_alerts"]}
    assert fired == {alert["alert"] for alert in alerts()}


@needs_promtool
def test_prometheus_can_read_every_question_of_the_dashboard(tmp_path: Path) -> None:
    """As rules, with Grafana's variables filled in."""
    rules = [
        {"record": "r", "expr": expression.replace("$__rate_interval", "1m").replace("$job", "session-export")}
        for _, expression in expressions()
    ]
    file = tmp_path / "rules.yml"
    groups = [{"name": f"g{number}", "rules": [rule]} for number, rule in enumerate(rules)]
    file.write_text(json.dumps({"groups": groups}))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
async def test_promtool_finds_nothing_to_blame_in_the_names(world: World) -> None:
    world.metrics = Metrics(port=0)
    service = await world.start()
    metrics = service.app[METRICS]
    assert metrics is not None
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=generate_latest(metrics.registry), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
