"""The proxies' configurations in `deploy/`, each run as it is shipped in the program that it is for."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from yarl import URL

from service.config import Exports, Server
from tests.proxies import CADDYFILE, DEPLOY, LOCATIONS, caddy, caddy_of, free_port, needs_nginx, nginx, nginx_with
from tests.world import ADMIN, World

pytestmark = pytest.mark.long

PROGRAMS = [pytest.param("nginx", marks=needs_nginx), "caddy"]
EXPORT = "/api/admin/users/u-1/sessions/download-all"
DOWNLOAD = "/api/admin/users/u-1/sessions/a.jsonl/download"
CLIENT = "127.0.0.5"  # where curl asks from; the proxy and the service are at 127.0.0.1
IDENTITY = [
    "Forwarded",
    *(
        f"{sender}-{what}"
        for sender in ("X-Forwarded", "X-Auth-Request", "Remote")
        for what in ("User", "Email", "Groups")
    ),
]  # what oauth2-proxy, Authelia and others call it


@pytest.fixture(params=PROGRAMS)
async def proxy(request: pytest.FixtureRequest, behind: World, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a proxy as it is shipped."""
    port = behind.running.port or 0
    if request.param == "nginx":
        async with nginx(tmp_path, port) as url:
            yield url
    else:
        async with caddy(tmp_path, port, caddy_of((2, 8))) as url:
            yield url


async def curl(url: str, output: Path, *more: str) -> tuple[int, str]:
    """The exit code, and the status."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "-o", output, "-w", "%{http_code}", "--interface", CLIENT, "-H", f"Authorization: Bearer {ADMIN}",
        *more, url, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_an_export_comes_whole(behind: World, proxy: str, tmp_path: Path) -> None:
    behind.file("a.jsonl", os.urandom(3_000_000))
    assert await curl(proxy + EXPORT, tmp_path / "out.zip", "--compressed") == (0, "200")
    judge = await asyncio.create_subprocess_exec("unzip", "-tq", tmp_path / "out.zip", stdout=asyncio.subprocess.PIPE)
    await judge.communicate()
    assert judge.returncode == 0
    assert [row["result"] for row in await behind.audit("session_bulk%")] == ["started", "success"]


async def test_a_download_is_resumed_with_a_range(behind: World, proxy: str, tmp_path: Path) -> None:
    data = b'{"text": "that compresses well"}\n' * 1000
    behind.file("a.jsonl", data)
    (tmp_path / "out").write_bytes(data[:7000])
    assert await curl(proxy + DOWNLOAD, tmp_path / "out", "-C", "-", "--compressed") == (0, "206")
    assert (tmp_path / "out").read_bytes() == data


@pytest.mark.parametrize("path", [EXPORT, DOWNLOAD])
async def test_a_broken_transfer_is_seen_as_broken(behind: World, proxy: str, tmp_path: Path, path: str) -> None:
    file, output = behind.file("a.jsonl", os.urandom(40_000_000)), tmp_path / "out"
    reading = asyncio.create_task(curl(proxy + path, output, "--limit-rate", "10M"))
    while not output.exists() or output.stat().st_size < 100_000:
        await asyncio.sleep(0.01)
    os.truncate(file, 1000)
    code, _ = await reading
    assert code == 18, "curl: transfer closed with outstanding data remaining"
    assert [row["result"] for row in await behind.audit("session%download")] == ["error"]


async def test_the_service_waits_for_a_slow_client(behind: World, proxy: str, tmp_path: Path) -> None:
    """No proxy takes the export for it: when the client leaves, that is what the audit log says."""
    behind.file("a.jsonl", os.urandom(100_000_000))
    code, _ = await curl(proxy + EXPORT, tmp_path / "out", "--limit-rate", "1M", "--max-time", "1")
    assert code == 28, "curl: the time is over"
    (row,) = await behind.audit("session_bulk_download")
    assert row["result"] == "aborted"


async def test_the_clients_address_is_audited_and_not_the_one_it_claims(
    behind: World, proxy: str, tmp_path: Path
) -> None:
    behind.file("a.jsonl")
    claims = ["X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "X-Real-IP: 192.0.2.1"]
    asked = [argument for claim in claims for argument in ("-H", claim)]
    assert await curl(proxy + EXPORT, tmp_path / "out", *asked) == (0, "200")
    assert {row["client_ip"] for row in await behind.audit()} == {CLIENT}


async def test_an_id_goes_there_and_back(behind: World, proxy: str, tmp_path: Path) -> None:
    behind.file("a.jsonl")
    asked = ("-H", "X-Request-ID: mine-1", "-D", str(tmp_path / "headers"))
    assert await curl(proxy + EXPORT, tmp_path / "out", *asked) == (0, "200")
    assert "x-request-id: mine-1\n" in (tmp_path / "headers").read_text().lower()
    assert {row["correlation_id"] for row in await behind.audit()} == {"mine-1"}


async def test_a_link_made_through_a_proxy_gives_its_session_through_it(
    behind: World, proxy: str, tmp_path: Path
) -> None:
    behind.file("a.jsonl", b"0123456789")
    body = ("-H", "Content-Type: application/json", "-d", json.dumps({"path": DOWNLOAD}))
    assert await curl(f"{proxy}/api/admin/links", tmp_path / "made", *body) == (0, "201")
    link = URL(json.loads((tmp_path / "made").read_text())["url"]).raw_path
    assert await curl(proxy + link, tmp_path / "out", "-H", "Authorization:", "-r", "2-4") == (0, "206")
    assert (tmp_path / "out").read_bytes() == b"234"
    assert {row["client_ip"] for row in await behind.audit()} == {CLIENT}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs"])
async def test_health_and_the_reference_are_not_given_to_the_outside(proxy: str, tmp_path: Path, path: str) -> None:
    assert await curl(proxy + path, tmp_path / "out") == (0, "404")


@asynccontextmanager
async def seen_headers(port: int) -> AsyncIterator[list[bytes]]:
    """A server in the place of the service, and the header lines that it was sent."""
    lines: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.extend((await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield lines


@pytest.mark.parametrize("program", PROGRAMS)
async def test_nobody_from_outside_says_who_they_are(tmp_path: Path, program: str) -> None:
    port = free_port()
    started = nginx(tmp_path, port) if program == "nginx" else caddy(tmp_path, port, caddy_of((2, 8)))
    asked = [argument for name in IDENTITY for argument in ("-H", f"{name}: forged")]
    async with seen_headers(port) as lines, started as url:
        assert await curl(url + EXPORT, tmp_path / "out", *asked) == (0, "200")
    assert b"get /api/admin/users/u-1/sessions/download-all http/1.1" in lines
    assert [line for line in lines if b"forged" in line] == []


@pytest.mark.parametrize("program", PROGRAMS)
async def test_with_its_lines_taken_in_the_reference_is_shown(
    behind: World, tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = behind.running.port or 0
    if program == "nginx":
        started = nginx(tmp_path, port, re.sub(r"^#(?=location|    |})", "", LOCATIONS, flags=re.MULTILINE))
    else:
        taken_in = re.sub(r"^\t# (?=@reference|handle|\t|})", "\t", CADDYFILE, flags=re.MULTILINE)
        monkeypatch.setattr("tests.proxies.CADDYFILE", taken_in)
        started = caddy(tmp_path, port, caddy_of((2, 6)))
    async with started as url:
        for path in ("/docs", "/docs/page.js", "/openapi.json"):
            assert await curl(url + path, tmp_path / "out") == (0, "200"), path
        for path in ("/healthz", "/docsx", "/openapi.jsonx", "/x/docs"):
            assert await curl(url + path, tmp_path / "out") == (0, "404"), path


@asynccontextmanager
async def oauth2_proxy(port: int) -> AsyncIterator[None]:
    """In its place: it knows a cookie, and who signed in with it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        known = b"session=ours" in head and head.startswith(b"GET /oauth2/auth ")
        status = b"202 Accepted\r\nX-Auth-Request-User: alice\r\nX-Auth-Request-Groups: admins"
        writer.write(
            b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (status if known else b"401 No")
        )
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield


@needs_nginx
async def test_whom_oauth2_proxy_knows_is_who_calls_and_nobody_else_can_be(behind: World, tmp_path: Path) -> None:
    behind.file("a.jsonl")
    conf, port = (DEPLOY / "nginx" / "oauth2-proxy.conf").read_text(), free_port()
    locations = LOCATIONS
    for line, name in re.findall(r"^#    (proxy_set_header (\S+) .*)$", conf, re.MULTILINE):
        assert f'proxy_set_header {name} "";' in locations
        locations = locations.replace(f'proxy_set_header {name} "";', line)
    beside = conf.replace("127.0.0.1:4180", f"127.0.0.1:{port}")
    forged = {"X-Auth-Request-User": "mallory", "X-Auth-Request-Groups": "admins"}
    signed_in = {"Cookie": "session=ours"}
    async with oauth2_proxy(port), nginx(tmp_path, behind.running.port or 0, locations + beside) as url:
        for headers, status in ((forged, 401), (signed_in | forged, 200), (signed_in, 200)):
            async with behind.client.get(url + EXPORT, headers=headers) as response:
                await response.read()
                assert response.status == status, headers
        async with behind.client.get(f"{url}/", allow_redirects=False) as page:
            assert page.status == 302
            assert page.headers["Location"].endswith("/oauth2/start?rd=/")
        async with behind.client.get(f"{url}/", headers=signed_in) as page:
            assert page.status == 200
    assert {row["user_id"] for row in await behind.audit()} == {"alice"}


@needs_nginx
@pytest.mark.parametrize("file", ["nginx/server.conf", "compose/server.conf"])
async def test_the_server_blocks_for_nginx_serve_over_tls(behind: World, tmp_path: Path, file: str) -> None:
    behind.file("a.jsonl")
    port = free_port()
    certificate = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=public.example"
    made = [*certificate.split(), "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "locations.conf").write_text(LOCATIONS)
    server = (DEPLOY / file).read_text()
    for pattern, here in {
        r"listen \d+": f"listen 127.0.0.1:{port}",
        r"/etc/\S*/(\w+\.pem)": rf"{tmp_path}/\1",
        r"include \S+;": f"include {tmp_path}/locations.conf;",
        r"server \S+:8080;": f"server 127.0.0.1:{behind.running.port};",
    }.items():
        server, count = re.subn(pattern, here, server)
        assert count, pattern
    async with nginx_with(tmp_path, server, port):
        asked = ("--cacert", str(tmp_path / "cert.pem"), "--connect-to", f"public.example:443:127.0.0.1:{port}")
        assert await curl(f"https://public.example{EXPORT}", tmp_path / "out", *asked) == (0, "200")


def test_traefiks_files_say_what_matters() -> None:
    """There is no package of Traefik to run here: at least the files say what they are to say."""
    static = yaml.safe_load((DEPLOY / "traefik" / "static.yaml").read_text())
    dynamic = yaml.safe_load((DEPLOY / "traefik" / "session-export.yaml").read_text())["http"]
    entry = static["entryPoints"]["websecure"]
    assert entry["transport"]["respondingTimeouts"]["writeTimeout"] == "0s"
    assert entry["forwardedHeaders"]["insecure"] is False
    assert "experimental" not in static
    (router,) = dynamic["routers"].values()
    assert router["entryPoints"] == list(static["entryPoints"])
    assert {kind for name in router["middlewares"] for kind in dynamic["middlewares"][name]} == {"headers"}
    stripped = dynamic["middlewares"]["no-identity-from-outside"]["headers"]["customRequestHeaders"]
    assert {name for name, value in stripped.items() if value == ""} >= set(IDENTITY)
    balancer = dynamic["services"][router["service"]]["loadBalancer"]
    assert balancer["responseForwarding"]["flushInterval"].startswith("-")
    assert dynamic["serversTransports"][balancer["serversTransport"]]["disableHTTP2"] is True


def test_no_proxy_keeps_a_connection_as_long_as_the_service_does() -> None:
    """Else it would send a request on one that the service is closing. nginx by itself: none, or for 60 s."""
    assert "keepalive" not in "".join((DEPLOY / name / "server.conf").read_text() for name in ("nginx", "compose"))
    dynamic = yaml.safe_load((DEPLOY / "traefik" / "session-export.yaml").read_text())["http"]
    timeouts = dynamic["serversTransports"]["session-export"]["forwardingTimeouts"]
    (caddys,) = re.findall(r"^\s*keepalive (\d+s)\b", CADDYFILE, re.MULTILINE)  # two minutes by itself
    for kept in (timeouts["idleConnTimeout"], caddys):
        assert 0 < int(kept.removesuffix("s")) < Server().idle_timeout


def test_the_service_cuts_off_a_stalled_client_before_nginx_does() -> None:
    (limit,) = re.findall(r"^\s*send_timeout (\d+)s;", LOCATIONS, re.MULTILINE)
    assert int(limit) >= Exports().stall_timeout + 15


@pytest.mark.parametrize("file", ["traefik/session-export.yaml", "kubernetes/session-export.yaml"])
def test_with_their_lines_taken_in_the_others_would_show_the_reference(file: str) -> None:
    text = (DEPLOY / file).read_text()
    taken_in = re.sub(r"^( +)# (?=session-export-reference|- path|  +\w+:)", r"\1", text, flags=re.MULTILINE)
    before, after = (list(yaml.safe_load_all(each)) for each in (text, taken_in))
    assert "/openapi.json" not in str(before)
    assert "/openapi.json" in str(after)
