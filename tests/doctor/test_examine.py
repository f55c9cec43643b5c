"""`session-export doctor` before real proxies that are right, and wrong in each way that it knows."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from service.doctor import CannotExamine, Doctor, Finding, Verdict
from service.doctor.findings import address
from service.doctor.received import FORGED, Echo
from tests.command import TOP
from tests.proxies import LOCATIONS, caddy, caddy_of, needs_nginx, nginx
from tests.world import ADMIN, PLAIN, World, assert_problem

pytestmark = pytest.mark.long

HERE = "127.0.0.5"  # where the doctor asks from; the proxy and the service are at 127.0.0.1
DOCTOR = "/api/admin/doctor"
NAMES = ["truncation", "buffering", "compression", "ranges", "address", "request id", "identity", "silence"]


@asynccontextmanager
async def doctor(url: str, token: str = ADMIN, **options: Any) -> AsyncIterator[Doctor]:
    connector = aiohttp.TCPConnector(force_close=True, local_addr=(HERE, 0))
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers, connector=connector, auto_decompress=False) as session:
        yield Doctor(session, url, **{"pause": 0.3, "silence": 0.7} | options)


async def examined(url: str, **options: Any) -> list[Finding]:
    async with doctor(url, **options) as asked:
        return [finding async for finding in asked.examine(await asked.reach())]


def unsound(findings: list[Finding]) -> dict[str, Verdict]:
    assert [finding.name for finding in findings] == NAMES
    return {finding.name: finding.verdict for finding in findings if finding.verdict is not Verdict.SOUND}


@needs_nginx
async def test_the_shipped_lines_for_nginx_are_sound(behind: World, tmp_path: Path) -> None:
    async with nginx(tmp_path, behind.running.port or 0) as url:
        assert unsound(await examined(url)) == {}


# What is wrong, what stands there instead of which line, and what the report says that was seen.
MISTAKES = [
    ("truncation", "proxy_http_version 1.1;", "proxy_http_version 1.0;", "speaks HTTP/1.0 to the service"),
    ("buffering", "proxy_buffering off;", "proxy_ignore_headers X-Accel-Buffering;", "a proxy took 24 MiB in"),
    ("compression", "gzip off;", "gzip on; gzip_types *;", "compressed an archive"),
    ("compression", "gzip off;", "gzip on; gzip_types application/x-ndjson;", "compressed a session"),
    ("silence", "proxy_read_timeout 300s;", "proxy_read_timeout 500ms;", "it broke off"),
    ("ranges", "", 'proxy_set_header Range "";', "got all of it"),
    ("ranges", "", "proxy_hide_header ETag;", "ETag or Accept-Ranges is lost"),
    ("request id", "", 'proxy_set_header X-Request-ID "";', "does not reach the service"),
    ("request id", "", "proxy_hide_header X-Request-ID;", "the response has none"),
    ("identity", 'X-Auth-Request-Groups "";', "X-Hidden 1;", "X-Auth-Request-Groups reached the service"),
    ("address", "X-Forwarded-For $remote_addr;", 'X-Forwarded-For "";', "forwards no client address"),
    ("address", "X-Forwarded-For $remote_addr;", "X-Forwarded-For $http_x_forwarded_for;", FORGED),
    ("address", "X-Forwarded-For $remote_addr;", "X-Forwarded-For 198.51.100.7;", "this machine is 127.0.0.5"),
]


@needs_nginx
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake[2])
async def test_each_mistake_is_found_and_nothing_else(
    behind: World, tmp_path: Path, mistake: tuple[str, str, str, str]
) -> None:
    name, line, instead, seen = mistake
    wrong = LOCATIONS.replace(line, instead) if line else LOCATIONS.replace("proxy_pass ", f"{instead} proxy_pass ")
    if name == "buffering":
        wrong = wrong.replace("proxy_max_temp_file_size 0;", "")
    assert wrong != LOCATIONS
    async with nginx(tmp_path, behind.running.port or 0, wrong) as url:
        # Time enough for a proxy to take all there is, also where others use the machine.
        findings = await examined(url, pause=1.5 if name == "buffering" else 0.3)
    assert list(unsound(findings)) == [name]
    (finding,) = [finding for finding in findings if finding.name == name]
    assert seen in finding.seen
    if finding.verdict is Verdict.WRONG:
        assert finding.remedy is not None
        assert re.findall(r"[a-z_]{4,}", line or instead)[0] in finding.remedy.nginx, "the line that mends it"


@needs_nginx
async def test_a_service_that_does_not_know_its_proxy_is_told_whom_to_trust(service: World, tmp_path: Path) -> None:
    async with nginx(tmp_path, service.running.port or 0) as url:
        findings = await examined(url)
    assert unsound(findings) == {"address": Verdict.WRONG}
    (finding,) = [finding for finding in findings if finding.name == "address"]
    assert "not set to trust that proxy" in finding.seen
    assert finding.remedy is not None
    assert finding.remedy.service == 'server.trusted_proxies: ["127.0.0.1"]'


async def test_a_proxy_that_keeps_bytes_back_until_the_end_is_found(service: World) -> None:
    """As Traefik's buffering middleware does, for which there is no package here."""

    async def whole(request: web.BaseRequest) -> web.StreamResponse:
        asked = service.request(str(request.rel_url), headers={"Authorization": f"Bearer {ADMIN}"})
        async with asked as response:
            try:
                return web.Response(status=response.status, body=await response.read(), headers=kept(response))
            except aiohttp.ClientPayloadError:
                return web.Response(status=502)

    def kept(response: aiohttp.ClientResponse) -> dict[str, str]:
        return {name: response.headers[name] for name in ("Content-Type", "X-Request-ID")}

    async with RawTestServer(whole) as server:
        findings = await examined(str(server.make_url("/")))
    (finding,) = [finding for finding in findings if finding.name == "buffering"]
    assert finding.verdict is Verdict.WRONG
    assert "held them back" in finding.seen
    assert findings[0].verdict is Verdict.SOUND, "a broken stream became an error: nobody takes that for a whole one"


@needs_nginx
async def test_an_id_that_the_proxy_gives_is_sound(behind: World, tmp_path: Path) -> None:
    given = LOCATIONS.replace("proxy_pass ", "proxy_set_header X-Request-ID $request_id; proxy_pass ")
    async with nginx(tmp_path, behind.running.port or 0, given) as url:
        findings = await examined(url)
    assert unsound(findings) == {}
    assert "an id of its own" in findings[NAMES.index("request id")].seen


def echo(**fields: Any) -> Echo:
    usual = {
        "version": "1",
        "http_version": "1.1",
        "user_id": "a",
        "identity": {},
        "request_id": "r",
        "request_id_received": "r",
    }
    return Echo(**(usual | {"peer": "10.0.0.2", "client_ip": "198.51.100.7", "forwarded": ["198.51.100.7"]} | fields))


@pytest.mark.parametrize(
    ("fields", "expected", "verdict"),
    [
        ({}, None, Verdict.UNSURE),  # perhaps addresses are translated, perhaps it is a proxy's
        ({}, "198.51.100.7", Verdict.SOUND),
        ({}, "198.51.100.8", Verdict.WRONG),
        ({"client_ip": "10.0.0.9"}, None, Verdict.SOUND),  # our own
        ({"client_ip": "10.0.0.9"}, "198.51.100.7", Verdict.WRONG),
        ({"client_ip": FORGED}, FORGED, Verdict.WRONG),
        ({"client_ip": FORGED, "peer": "10.0.0.9"}, None, Verdict.WRONG),
        ({"client_ip": FORGED, "peer": "10.0.0.9", "forwarded": [FORGED]}, None, Verdict.UNSURE),  # no proxy between
        ({"client_ip": "10.0.0.2"}, None, Verdict.WRONG),
        ({"client_ip": "10.0.0.2", "forwarded": [FORGED, f"for={FORGED}"]}, None, Verdict.WRONG),
        (
            {"client_ip": "10.0.0.2", "forwarded": [FORGED, f"for={FORGED}"]},
            "10.0.0.2",
            Verdict.SOUND,
        ),  # no proxy at all
        ({"client_ip": "10.0.0.9", "peer": "10.0.0.9"}, None, Verdict.UNSURE),  # all on one machine
    ],
)
def test_only_an_address_that_is_known_to_be_right_is_called_so(
    fields: dict[str, Any], expected: str | None, verdict: Verdict
) -> None:
    finding = address(echo(**fields), "10.0.0.9", expected)
    assert finding.verdict is verdict
    assert (finding.remedy is not None) == (verdict is Verdict.WRONG)


async def test_caddy_as_it_is_shipped_is_sound(behind: World, tmp_path: Path) -> None:
    async with caddy(tmp_path, behind.running.port or 0, caddy_of((2, 8))) as url:
        assert unsound(await examined(url)) == {}


async def test_a_caddy_that_is_too_old_hides_truncation(behind: World, tmp_path: Path) -> None:
    async with caddy(tmp_path, behind.running.port or 0, caddy_of((2, 6), below=(2, 7))) as url:
        findings = await examined(url)
    assert unsound(findings) == {"truncation": Verdict.WRONG}
    assert findings[0].remedy is not None
    assert "2.8" in findings[0].remedy.caddy


@pytest.mark.parametrize("what", ["echo", "broken", "paused", "flood", "session"])
@pytest.mark.parametrize(("token", "status"), [(None, 401), ("unknown", 401), (PLAIN, 403)])
async def test_the_probes_are_for_admins(service: World, what: str, token: str | None, status: int) -> None:
    assert (await service.get(f"{DOCTOR}/{what}", token=token)).status == status


async def test_the_probes_read_nothing_and_write_nothing(service: World) -> None:
    service.file("secret.jsonl", b"secret")
    for what in ("echo", "paused?seconds=0", "session"):
        answer = await service.get(f"{DOCTOR}/{what}")
        assert answer.status == 200
        assert b"secret" not in answer.body
    assert await service.audit() == []


@pytest.mark.parametrize("seconds", ["-1", "601", "nan", "inf", "x", "", "0&seconds=0", "0&seconds=600"])
async def test_no_silence_is_longer_than_ten_minutes(service: World, seconds: str) -> None:
    assert (await service.get(f"{DOCTOR}/paused?seconds={seconds}")).status == 422


async def test_the_session_to_ask_for_has_the_ranges_and_conditions_of_a_download(service: World) -> None:
    path = f"{DOCTOR}/session"
    whole = await service.get(path)
    tag = whole.headers["ETag"]
    part = await service.get(path, headers={"Range": "bytes=10-19", "If-Range": tag})
    assert (part.status, part.body) == (206, whole.body[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole.body)}"
    assert (await service.get(path, headers={"Range": "bytes=10-19", "If-Range": '"x"'})).body == whole.body
    assert (await service.get(path, headers={"If-None-Match": tag})).status == 304
    assert_problem(await service.get(path, headers={"If-Match": '"x"'}), 412)
    assert_problem(await service.get(path, headers={"Range": "bytes=999999-"}), 416)


async def test_a_silent_stream_does_not_keep_the_service_from_stopping(service: World) -> None:
    async with service.request(f"{DOCTOR}/paused?seconds=600") as response:
        await response.content.readany()
        await service.stop()
        with pytest.raises(aiohttp.ClientError):
            await response.read()


@asynccontextmanager
async def something_else(answer: web.Response) -> AsyncIterator[str]:
    """A server that answers this to everything; its URL."""

    async def handler(_request: web.BaseRequest) -> web.StreamResponse:
        return answer

    async with RawTestServer(handler) as server:
        yield str(server.make_url("/"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"text": "<html>Sign in</html>", "content_type": "text/html"}, "is it a login page"),
        ({"status": 302, "headers": {"Location": "https://sso.example/"}}, "sends us on to https://sso.example/"),
        ({"status": 401, "text": "who are you"}, "not the service, but something before it, answered 401"),
        ({"status": 404, "text": "nothing here"}, "not the service, but something before it, answered 404"),
        ({"text": "[1]", "content_type": "application/json"}, "not as Session Export does"),
    ],
)
async def test_what_is_not_the_service_is_called_so(answer: dict[str, Any], words: str) -> None:
    async with something_else(web.Response(**answer)) as url, doctor(url) as asked:
        with pytest.raises(CannotExamine, match=words):
            await asked.reach()


@pytest.mark.parametrize(("token", "words"), [("wrong", "does not know this token"), (PLAIN, "not that of an admin")])
async def test_a_token_that_does_not_let_us_in_is_called_so(service: World, token: str, words: str) -> None:
    async with doctor(service.url("/"), token=token) as asked:
        with pytest.raises(CannotExamine, match=words):
            await asked.reach()


async def begun(*arguments: str, token: str | None = ADMIN) -> asyncio.subprocess.Process:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SESSION_EXPORT_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", "doctor", *arguments,
        env=environ | ({"SESSION_EXPORT_TOKEN": token} if token else {}) | {"PYTHONPATH": str(TOP)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def command(*arguments: str, token: str | None = ADMIN) -> tuple[int, str, str]:
    process = await begun(*arguments, token=token)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@needs_nginx
async def test_the_command_ends_with_0_when_all_is_sound(behind: World, tmp_path: Path) -> None:
    async with nginx(tmp_path, behind.running.port or 0) as url:
        code, out, _ = await command("--url", url, "--silence", "1", "--my-address", "127.0.0.1")
    assert code == 0, out
    assert out.endswith("All 8 sound: what the service sends is what clients get.\n")


@needs_nginx
async def test_the_command_ends_with_9_and_says_the_line_when_something_is_wrong(behind: World, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{ADMIN}\n")
    wrong = LOCATIONS.replace("gzip off;", "gzip on; gzip_types *;")
    async with nginx(tmp_path, behind.running.port or 0, wrong) as url:
        asked = ("--url", url, "--silence", "1", "--my-address", "127.0.0.1", "--token-file", str(token))
        code, out, _ = await command(*asked, token=None)
    assert code == 9, out
    assert re.search(
        r"^WRONG   compression  A proxy compressed an archive.*gzip.*\n(.*\n)+ +nginx +gzip off;", out, re.M
    )
    assert "Of 8, 1 wrong. Fix it" in out
    assert ADMIN not in out


@pytest.mark.parametrize(
    ("arguments", "token", "code", "words"),
    [
        (["--url", "http://127.0.0.1:1/"], "t", 6, "http://127.0.0.1:1/: does not answer: Cannot connect"),
        (["--url", "http://127.0.0.1:1/"], None, 2, "set SESSION_EXPORT_TOKEN"),
        (["--url", "http://127.0.0.1:1/"], "two\nlines", 2, "a line break"),
        (["--url", "public.example"], "t", 2, "is not that of a service"),
        ([], "t", 2, "--url"),
    ],
)
async def test_the_command_says_why_it_cannot_ask(
    arguments: list[str], token: str | None, code: int, words: str
) -> None:
    ended, out, err = await command(*arguments, token=token)
    assert ended == code
    assert words in err
    assert "Traceback" not in err + out


@pytest.mark.parametrize("token", ["wrong", PLAIN])
async def test_the_command_ends_with_4_when_the_token_does_not_let_it_in(service: World, token: str) -> None:
    code, out, err = await command("--url", service.url("/"), token=token)
    assert (code, out) == (4, "")
    assert "token" in err


async def test_the_command_ends_with_1_when_something_else_answers() -> None:
    async with something_else(web.Response(text="<html>Sign in</html>", content_type="text/html")) as url:
        code, _, err = await command("--url", url)
    assert code == 1
    assert "is it a login page" in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_the_command_is_ended_as_the_others_are(service: World, number: int, code: int) -> None:
    process = await begun("--url", service.url("/"))
    assert process.stdout is not None
    assert await process.stdout.readline()
    process.send_signal(number)
    _, err = await process.communicate()
    assert process.returncode == code
    assert b"Aborted" not in err
    assert b"Traceback" not in err


async def test_what_could_not_be_told_is_not_to_be_asked_again_as_it_was(service: World) -> None:
    """All on one machine: nothing is to be seen of addresses."""
    code, out, _ = await command("--url", service.url("/"), "--silence", "1")
    assert code == 9
    assert "--my-address" in out
    assert out.endswith("Of 8, 0 wrong, 1 undetermined. See the reason above.\n")
