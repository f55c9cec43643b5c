"""The image, the composition and the Kubernetes manifests. No container engine is needed: linters and schemas judge
them, and what the image's build would run is run here, command by command, in a clean directory."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml

from service.config import load_settings
from tests.command import TOP, run
from tests.deploy.image import FILE, IMAGE_HOME, environment, of, stages
from tests.proxies import DEPLOY, free_port


def tool(name: str) -> str:
    """A linter, beside the interpreter or on the path."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    return found or pytest.skip(f"{name} is not installed")


def judged(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_linter_has_nothing_against_the_containerfile() -> None:
    judged(tool("hadolint"), FILE)


def test_the_image_runs_as_nobody_special_and_holds_no_build_tools() -> None:
    _, final = stages()
    assert of(final, "USER") == ["10001:10001"]
    assert of(final, "COPY") == [f"--from=build {IMAGE_HOME} {IMAGE_HOME}"]
    assert "pip uninstall --yes --quiet pip setuptools wheel" in " ".join(of(final, "RUN"))
    assert all("-slim" in image for image in of([line for stage in stages() for line in stage], "FROM"))


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Where the image's /opt/session-export would be, made by the commands of the build stage."""
    home, source = tmp_path / "opt", tmp_path / "src"
    source.mkdir()
    for word, rest in stages()[0]:
        if word == "COPY":
            *names, target = rest.split()
            for name in names:
                copy(TOP / name, source / target)
        elif word == "RUN":
            command = rest.replace(IMAGE_HOME, str(home)).replace("python -m", f"{sys.executable} -m")
            subprocess.run(["sh", "-euc", command], cwd=source, check=True, capture_output=True)
    return home


def copy(path: Path, target: Path) -> None:
    """As COPY does: of a directory, what is in it."""
    if path.is_dir():
        shutil.copytree(path, target, dirs_exist_ok=True)
    else:
        shutil.copy(path, target)


@pytest.mark.long
@pytest.mark.timeout(300)  # it gets all dependencies anew
def test_the_commands_of_the_image_build_something_that_serves(built: Path, tmp_path: Path) -> None:
    """With the image's own environment, working directory, entry point and health check."""
    _, final = stages()
    etc, port, metrics = tmp_path / "etc", free_port(), free_port()
    for directory in (etc, tmp_path / "srv" / "sessions", tmp_path / "var" / "lib" / "session-export"):
        directory.mkdir(parents=True)
    lines = run("token", "--user-id", "admin1", "--admin", cwd=tmp_path).stdout.partition("config.yaml:\n")[2]
    config = yaml.safe_load((DEPLOY / "config.yaml").read_text()) | {"auth": {"tokens": yaml.safe_load(lines)}}
    config["server"]["port"], config["metrics"]["port"] = port, metrics
    (etc / "config.yaml").write_text(yaml.safe_dump(config))
    environ = environment(built, tmp_path)
    (entry,), (arguments,) = of(final, "ENTRYPOINT"), of(final, "CMD")
    command = [word.replace(IMAGE_HOME, str(built)) for word in json.loads(entry) + json.loads(arguments)]
    (check,) = (json.loads(rest.partition("CMD ")[2]) for rest in of(final, "HEALTHCHECK"))
    check = [word.replace(IMAGE_HOME, str(built)).replace("8080", str(port)) for word in check]
    with subprocess.Popen(command, cwd=etc, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert any(f"http://0.0.0.0:{port}" in line for line in process.stderr), "listening, for other containers"
            with urlopen(f"http://127.0.0.2:{metrics}/metrics", timeout=10) as fetched:  # as 0.0.0.0 takes it, too
                assert b"session_export_request" in fetched.read()
            assert subprocess.run(check, env=environ, check=False).returncode == 0
            process.terminate()
            process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0
    assert subprocess.run(check, env=environ, check=False, stderr=subprocess.DEVNULL).returncode != 0
    assert (tmp_path / "var/lib/session-export/catalog.duckdb").exists()


def test_an_image_gets_nothing_but_what_it_is_built_of() -> None:
    lines = [line for line in (TOP / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    copied = {name for rest in of(stages()[0], "COPY") for name in rest.split()[:-1]}
    assert {line[1:] for line in lines if line.startswith("!")} == copied


def test_the_compositions_are_valid() -> None:
    compositions = sorted((DEPLOY / "compose").glob("*.yaml"))
    judged(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *compositions)


def test_the_composition_keeps_the_service_inside() -> None:
    composed = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    service, nginx = composed["services"]["session-export"], composed["services"]["nginx"]
    assert "ports" not in service
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    sessions, *_ = service["volumes"]
    assert sessions.endswith(":/srv/sessions:ro")
    assert int(service["stop_grace_period"][:-1]) > load_settings(DEPLOY / "config.yaml", {}).server.shutdown_timeout
    assert set(nginx["networks"]) == {"inside"}, "nobody else is in the network that is trusted"
    assert composed["networks"]["metrics"] == {"internal": True}
    (network,) = composed["networks"]["inside"]["ipam"]["config"]
    trusted = json.loads(service["environment"]["SESSION_EXPORT__SERVER__TRUSTED_PROXIES"])
    assert trusted == [network["subnet"]]
    for volume in nginx["volumes"]:
        source = (DEPLOY / "compose" / volume.split(":")[0]).resolve()
        assert source.exists() or source.name == "tls"


def manifests() -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all((DEPLOY / "kubernetes" / "session-export.yaml").read_text())


def manifest(kind: str) -> dict[str, Any]:
    (found,) = [document for document in manifests() if document["kind"] == kind]
    return found


def test_kubernetes_would_take_the_manifests() -> None:
    judged(tool("kubernetes-validate"), "--strict", *sorted((DEPLOY / "kubernetes").glob("*.yaml")))


def test_in_kubernetes_one_instance_has_time_to_end(tmp_path: Path) -> None:
    deployment = manifest("Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]["type"]) == (1, "Recreate")
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    settings = load_settings(config_map(tmp_path), {})
    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > settings.server.shutdown_timeout + sleep + 10
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": settings.server.port,
        "metrics": settings.metrics.port,
    }


def test_in_kubernetes_the_metrics_are_reached_from_their_own_namespace_alone() -> None:
    rules = manifest("NetworkPolicy")["spec"]["ingress"]
    reached = {
        port["port"]: [
            where["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for where in rule["from"]
        ]
        for rule in rules
        for port in rule["ports"]
    }
    assert reached == {"http": ["ingress-nginx"], "metrics": ["monitoring"]}
    assert "metrics" not in json.dumps(manifest("Ingress"))
    assert environment(Path(), Path())["SESSION_EXPORT__METRICS__HOST"] == "0.0.0.0"


def test_in_kubernetes_only_the_catalog_can_be_written_to() -> None:
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" in of(stages()[1], "USER")
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    writable = {mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"catalog", "tmp"}
    claims = {volume["name"]: volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["volumes"]}
    assert claims["catalog"] == manifest("PersistentVolumeClaim")["metadata"]["name"]
    environ = environment(Path(), Path())
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {
        environ["SESSION_DATA_DIR"].lstrip("."),
        str(Path(environ["SESSION_EXPORT__CATALOG__URL"].lstrip(".")).parent),
    } <= mounted


def test_the_probes_are_the_services_own() -> None:
    (container,) = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    paths = {
        probe: container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe", "startupProbe")
    }
    assert paths == {"livenessProbe": "/healthz", "readinessProbe": "/readyz", "startupProbe": "/healthz"}


@pytest.mark.parametrize("where", ["config.yaml", "kubernetes"])
def test_the_shipped_settings_can_be_read(tmp_path: Path, where: str) -> None:
    file = config_map(tmp_path) if where == "kubernetes" else DEPLOY / where
    assert load_settings(file, {}).server.shutdown_timeout == 30


def config_map(tmp_path: Path) -> Path:
    """The ConfigMap's file."""
    file = tmp_path / "config.yaml"
    file.write_text(manifest("ConfigMap")["data"]["config.yaml"])
    return file
