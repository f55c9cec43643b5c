"""What deploy/ has for several replicas: the composition, the manifests, and nginx before replicas of which some are
away."""

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.config import load_settings
from service.transfers.transfer import TRANSFERS
from tests.deploy.image import environment, of, stages
from tests.proxies import DEPLOY, LOCATIONS, REPLICAS, free_port, needs_nginx, nginx_with
from tests.world import ADMIN, World

pytestmark = pytest.mark.long

EXPORT = "/api/admin/users/u-1/sessions/download-all"


def composed() -> dict[str, Any]:
    composition: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "replicas.yaml").read_text())
    return composition


def replicas() -> dict[str, dict[str, Any]]:
    return {name: service for name, service in composed()["services"].items() if service["image"] == "session-export"}


def manifests() -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all((DEPLOY / "kubernetes" / "replicas.yaml").read_text())


def manifest(kind: str) -> dict[str, Any]:
    (found,) = [document for document in manifests() if document["kind"] == kind]
    return found


def test_nginx_knows_each_replica_of_the_composition_and_they_know_nginx() -> None:
    addresses = {service["networks"]["inside"]["ipv4_address"] for service in replicas().values()}
    assert len(addresses) == 3
    assert set(re.findall(r"server (\S+):8080 max_fails=0;", REPLICAS)) == addresses
    nginx = composed()["services"]["nginx"]["networks"]["inside"]["ipv4_address"]
    for service in replicas().values():
        assert json.loads(service["environment"]["SESSION_EXPORT__SERVER__TRUSTED_PROXIES"]) == [f"{nginx}/32"]


def test_nobody_but_nginx_and_the_replicas_is_where_nginx_is_believed() -> None:
    inside = {name for name, service in composed()["services"].items() if "inside" in service["networks"]}
    assert inside == {"nginx", *replicas()}
    assert {name for name, service in composed()["services"].items() if "ports" in service} == {"nginx"}


def test_the_replicas_start_when_the_database_is_made_and_not_before() -> None:
    """While it is made, the image's own temporary server answers on the socket, and not over TCP."""
    assert "--host=127.0.0.1" in composed()["services"]["postgres"]["healthcheck"]["test"]
    for service in replicas().values():
        assert service["depends_on"]["postgres"] == {"condition": "service_healthy"}


def settings_of(tmp_path: Path, variables: dict[str, str], file: Path) -> Any:
    """What a replica reads: the image's variables, its own, and the file."""
    secrets = {"${POSTGRES_PASSWORD:?in .env}": "p", "${S3_SECRET:?in .env}": "s"} | {
        "${LINKS_SECRET:?in .env}": "l" * 48
    }
    for name, secret in secrets.items():
        variables = {key: value.replace(name, secret) for key, value in variables.items()}
    return load_settings(file, environment(tmp_path, tmp_path) | variables)


def test_the_replicas_of_the_composition_share_a_database_and_a_bucket(tmp_path: Path) -> None:
    for service in replicas().values():
        settings = settings_of(tmp_path, service["environment"], DEPLOY / "config.yaml")
        assert settings.catalog.url == "postgresql://session_export:p@postgres/session_export"
        assert str(settings.storage.root) == "s3://sessions/"
        assert settings.storage.s3.endpoint is not None and settings.storage.s3.endpoint.rstrip("/") == "http://s3:8333"
        assert settings.storage.s3.path_style
        assert settings.links.secret is not None
        assert int(service["stop_grace_period"][:-1]) > settings.server.shutdown_timeout


def test_a_pod_has_a_database_a_bucket_and_time_to_end(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(manifest("ConfigMap")["data"]["config.yaml"])
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    secret = {"SESSION_EXPORT__CATALOG__URL": "postgresql://session_export:p@postgres.example/session_export"}
    settings = settings_of(tmp_path, variables | secret, file)
    assert str(settings.storage.root) == "s3://sessions/user_sessions/"
    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > settings.server.shutdown_timeout + sleep + 10
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": settings.server.port,
        "metrics": settings.metrics.port,
    }


def test_a_pod_keeps_nothing_so_that_any_can_be_replaced() -> None:
    deployment = manifest("Deployment")["spec"]
    assert deployment["strategy"]["type"] == "RollingUpdate"
    assert {next(iter(volume.keys() - {"name"})) for volume in deployment["template"]["spec"]["volumes"]} == {
        "configMap",
        "emptyDir",
    }
    assert f"{deployment['template']['spec']['securityContext']['runAsUser']}:10001" in of(stages()[1], "USER")


def test_budget_and_autoscaler_are_about_the_deployment() -> None:
    deployment, autoscaler = manifest("Deployment"), manifest("HorizontalPodAutoscaler")["spec"]
    labels = deployment["spec"]["selector"]["matchLabels"]
    assert manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert autoscaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert autoscaler["minReplicas"] <= deployment["spec"]["replicas"] <= autoscaler["maxReplicas"]
    (metric,) = autoscaler["metrics"]
    assert metric["pods"]["metric"]["name"] == "session_export_exports_running"
    most = load_settings(None, {}).exports.max_concurrent
    assert int(metric["pods"]["target"]["averageValue"]) <= most / 2, "there is room until the next pod serves"


def test_the_image_has_what_replicas_need() -> None:
    (install,) = [rest for rest in of(stages()[0], "RUN") if "pip" in rest]
    assert "'.[postgres,s3]'" in install


async def curl(url: str, output: Path, *more: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "-o", output, "-w", "%{http_code}", "-H", f"Authorization: Bearer {ADMIN}", *more, url,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    return (await process.communicate())[0].decode()


@needs_nginx
@pytest.mark.parametrize("gone", ["refuses", "stops"])
async def test_nginx_asks_another_replica_where_one_is_away(world: World, tmp_path: Path, gone: str) -> None:
    """Of three, one serves; the others refuse connections, or say 503 because they stop."""
    service = await world.start()
    service.file("a.jsonl")
    (tmp_path / "other").mkdir()
    other = await World(tmp_path / "other", world._stack).start()
    await other.app[TRANSFERS].stop(0)
    away = free_port() if gone == "refuses" else other.running.port
    port = free_port()
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=public.example"
    subprocess.run(
        [*made.split(), "-keyout", "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True
    )
    (tmp_path / "locations.conf").write_text(LOCATIONS)
    server = REPLICAS.replace("listen 8443", f"listen 127.0.0.1:{port}")
    server = re.sub(r"/etc/\S*/(\w+\.pem)", rf"{tmp_path}/\1", server)
    server = re.sub(r"include \S+;", f"include {tmp_path}/locations.conf;", server)
    for address, at in zip(("11", "12", "13"), (away, service.running.port, away), strict=True):
        server = server.replace(f"172.30.98.{address}:8080", f"127.0.0.1:{at}")
    async with nginx_with(tmp_path, server, port):
        asked = ("--cacert", str(tmp_path / "cert.pem"), "--connect-to", f"public.example:443:127.0.0.1:{port}")
        for _ in range(6):
            assert await curl(f"https://public.example{EXPORT}", tmp_path / "out", *asked) == "200"
    assert len(await service.audit("session_bulk_download")) == 6
