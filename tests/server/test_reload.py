"""The configuration read again while the service runs."""

import asyncio
import errno
import io
import json
import re
import signal
import subprocess
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.api.parts import CONFIG_POOL
from service.auth import AUTHENTICATION
from service.config import ConfigError, Settings, load_settings
from service.server import reload as reload_module
from service.server.reload import Apply, Reload, stamp_files
from tests.command import configure, run, running
from tests.issuer import SECRET, ec_key, jwk, jwks, jwt_settings, key_server, sign
from tests.world import ADMIN, World, noise, token

pytestmark = pytest.mark.long

PATH = "u-1/activity"


class Reloaded:
    """A running service whose `auth` comes from a file."""

    def __init__(self, service: World, file: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.service = service
        self.file = file
        self.caplog = caplog

    def write(self, auth: dict[str, Any], **sections: Any) -> None:
        """JSON is YAML."""
        self.file.write_text(json.dumps({"auth": auth} | sections))

    @property
    def reload(self) -> Reload:
        return self.reload_with(self.service.app[AUTHENTICATION].use)

    def reload_with(self, use: Apply) -> Reload:
        return Reload(load_settings(None, {}), self.file, use, self.service.app[CONFIG_POOL], stamp_files(self.file))

    async def status(self, token: str) -> int:
        return int((await self.service.get(PATH, token=token)).status)

    async def until(self, said: str) -> None:
        while said not in self.caplog.text:
            await asyncio.sleep(0.005)


@pytest.fixture
async def reloaded(world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Reloaded]:
    caplog.set_level("INFO")
    yield Reloaded(await world.start(), tmp_path / "config.yaml", caplog)


def tokens(*texts: str, **fields: object) -> dict[str, Any]:
    made = [token(text, "admin1", admin=True).model_dump(mode="json") | fields for text in texts]
    return {"tokens": made}


async def test_a_changed_file_is_taken_over(reloaded: Reloaded) -> None:
    reloaded.write(tokens(ADMIN))
    async with reloaded.reload.watching(asyncio.Event(), 0.01):
        reloaded.write(tokens("new-token"))
        await reloaded.until("configuration read again")
    assert await reloaded.status("new-token") == 200
    assert await reloaded.status(ADMIN) == 401
    assert "static tokens (auth.tokens): on, 1 known" in reloaded.caplog.text


async def test_a_file_that_is_being_written_is_read_once_it_stands_still(
    reloaded: Reloaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([(0, 0, 0), (1, 10, 0), (2, 20, 0), (3, 30, 0)])
    seen: list[object] = []

    def look(_file: Path) -> object:
        seen.append(next(looks, (3, 30, 0)))
        return seen[-1]

    monkeypatch.setattr(reload_module, "_stamp", look)
    at_reading: list[list[object]] = []

    async def use(_settings: Settings) -> None:
        at_reading.append(list(seen))

    reloaded.write(tokens(ADMIN))
    async with reloaded.reload_with(use).watching(asyncio.Event(), 0.001):
        await reloaded.until("configuration read again")
        while len(seen) < 10:
            await asyncio.sleep(0.001)
    assert len(at_reading) == 1
    assert at_reading[0][-2:] == [(3, 30, 0)] * 2


async def test_a_file_that_is_put_in_anothers_place_is_taken_over(reloaded: Reloaded, tmp_path: Path) -> None:
    """As Kubernetes and careful editors do: by a rename, here of a link."""
    for name, text in (("before", ADMIN), ("after", "new-token")):
        (tmp_path / name).write_text(json.dumps({"auth": tokens(text)}))
    reloaded.file.symlink_to(tmp_path / "before")
    async with reloaded.reload.watching(asyncio.Event(), 0.01):
        (tmp_path / "link").symlink_to(tmp_path / "after")
        (tmp_path / "link").replace(reloaded.file)
        await reloaded.until("configuration read again")
    assert await reloaded.status("new-token") == 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("auth: {tokens: [", "cannot be read"),
        ("\xff\xfe", "cannot be read"),
        ("", "auth.tokens: no authentication method"),
        ("auth: {tokens: []}", "auth.tokens: no authentication method"),
        ("auth: {tokens: [{name: a, user_id: b, sha256: a-token-not-a-digest}]}", "sha256: got (not shown)"),
        ("auth: {tokns: []}", "auth.tokns: unknown key"),
        ("srver: {}", "srver: unknown key"),
        ("auth: {jwt: {issuer: i}}", "auth.jwt.audience: missing"),
        ("auth: {proxy: {user_header: U, groups_header: G, admin_group: g}}", "auth.proxy: needs server"),
        (json.dumps({"auth": {"jwt": {"issuer": "i", "audience": "a", "algorithms": ["RS256"], "admin_claim": "g",
         "admin_value": "v", "jwks_file": "nowhere.json"}}}), "auth.jwt.jwks_file: nowhere.json"),
        (None, "no such configuration file"),
    ],
)  # fmt: skip
async def test_a_broken_file_keeps_who_may_call_and_says_so_loudly(
    reloaded: Reloaded, text: str | None, words: str
) -> None:
    if text is not None:
        reloaded.file.write_bytes(text.encode("latin-1"))
    await reloaded.reload.read()
    assert await reloaded.status(ADMIN) == 200
    errors = [record.getMessage() for record in reloaded.caplog.records if record.levelname == "ERROR"]
    assert "STAYS AS IT WAS" in errors[0]
    assert any(words in error for error in errors[1:]), errors
    assert "a-token-not-a-digest" not in reloaded.caplog.text
    assert "read again" not in reloaded.caplog.text


async def test_even_what_nobody_thought_of_keeps_who_may_call_and_the_watch_goes_on(reloaded: Reloaded) -> None:
    reloaded.write(tokens(ADMIN))
    async with reloaded.reload.watching(asyncio.Event(), 0.01):
        reloaded.file.write_text("[" * 5000)  # the parser's recursion has an end
        await reloaded.until("unexpected error")
        assert "STAYS AS IT WAS" in reloaded.caplog.text
        assert await reloaded.status(ADMIN) == 200
        reloaded.write(tokens("new-token"))
        await reloaded.until("configuration read again")
    assert await reloaded.status("new-token") == 200


async def test_a_file_that_is_mended_is_taken_over_after_a_broken_one(reloaded: Reloaded) -> None:
    reloaded.write(tokens(ADMIN))
    async with reloaded.reload.watching(asyncio.Event(), 0.01):
        reloaded.file.write_text("auth: {tokens: [")
        await reloaded.until("STAYS AS IT WAS")
        reloaded.write(tokens("new-token"))
        await reloaded.until("configuration read again")
    assert await reloaded.status("new-token") == 200


async def test_what_changed_while_the_service_started_is_taken_over(reloaded: Reloaded) -> None:
    reloaded.write(tokens(ADMIN))
    reload = reloaded.reload  # it has looked before the file was read
    reloaded.write(tokens("new-token"))
    async with reload.watching(asyncio.Event(), 0.01):
        await reloaded.until("configuration read again")
    assert await reloaded.status("new-token") == 200


async def test_what_failed_for_a_passing_reason_is_tried_again_and_told_once(
    reloaded: Reloaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([OSError(errno.EMFILE, "Too many open files")] * 3)

    def load(file: Path | None) -> Settings:
        for failure in failures:
            raise failure
        return load_settings(file)

    monkeypatch.setattr(reload_module, "load_settings", load)
    monkeypatch.setattr(reload_module, "RETRY_INTERVAL", 0.01)
    reloaded.write(tokens(ADMIN))
    async with reloaded.reload.watching(asyncio.Event(), 0.005):
        reloaded.write(tokens("new-token"))
        await reloaded.until("configuration read again")
    assert await reloaded.status("new-token") == 200
    assert reloaded.caplog.text.count("STAYS AS IT WAS") == 1
    assert reloaded.caplog.text.count("Too many open files") == 1


async def test_a_broken_file_is_not_read_again_with_each_look(
    reloaded: Reloaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path | None] = []
    looks: list[Path] = []

    def load(file: Path | None) -> Settings:
        read.append(file)
        return load_settings(file)

    def look(file: Path) -> tuple[int, int, int]:
        looks.append(file)
        return 1, 1, 1

    reloaded.file.write_text("auth: {tokens: [")
    reload = reloaded.reload
    monkeypatch.setattr(reload_module, "load_settings", load)
    monkeypatch.setattr(reload_module, "_stamp", look)
    async with reload.watching(asyncio.Event(), 0.001):
        while len(looks) < 10:
            await asyncio.sleep(0.001)
    assert len(read) == 1


async def test_a_file_that_is_removed_changes_nothing_and_the_watch_goes_on(reloaded: Reloaded) -> None:
    reloaded.write(tokens(ADMIN))
    async with reloaded.reload.watching(asyncio.Event(), 0.01):
        reloaded.file.unlink()
        await reloaded.until("no such configuration file")
        assert await reloaded.status(ADMIN) == 200
        reloaded.write(tokens("new-token"))
        await reloaded.until("configuration read again")
    assert await reloaded.status("new-token") == 200


async def test_what_needs_a_restart_is_named(reloaded: Reloaded) -> None:
    reloaded.write(tokens(ADMIN), server={"port": 9999}, exports={"max_concurrent": 3})
    await reloaded.reload.read()
    assert "changed, but not in effect until a restart: server, exports" in reloaded.caplog.text


async def test_other_ways_come_and_go_too(reloaded: Reloaded, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(jwks(jwk(ec_key(), "a")))
    fields = {"issuer": "https://login.example.com/", "audience": "session-export", "admin_claim": "groups",
              "admin_value": "admins", "algorithms": ["ES256"], "jwks_file": str(file)}  # fmt: skip
    reloaded.write({"jwt": fields})
    reload = reloaded.reload
    await reload.read()
    assert await reloaded.status(ADMIN) == 401, "no static tokens any more"
    assert await reloaded.status(sign(ec_key(), "ES256", kid="a")) == 200
    reloaded.caplog.clear()
    async with reload.watching(asyncio.Event(), 0.01):
        file.write_bytes(jwks(jwk(ec_key(1), "b")))
        await reloaded.until("configuration read again")
    assert await reloaded.status(sign(ec_key(), "ES256", kid="a")) == 401
    assert await reloaded.status(sign(ec_key(1), "ES256", kid="b")) == 200


async def test_keys_from_a_url_are_not_asked_for_again_when_only_tokens_changed(world: World) -> None:
    async with key_server(jwks(jwk(ec_key(), "a"))) as server:
        world.jwt = jwt_settings(algorithms=["ES256"], jwks_url=server.url)
        service = await world.start()
        authentication = service.app[AUTHENTICATION]
        world.tokens = ()
        await authentication.use(world.settings)
        assert (await service.get(PATH, token=sign(ec_key(), "ES256", kid="a"))).status == 200
        assert server.asked == 1
        world.jwt = jwt_settings(algorithms=["ES256"], jwks_url=server.url, admin_value="others")
        await authentication.use(world.settings)
        assert (await service.get(PATH, token=sign(ec_key(), "ES256", kid="a"))).status == 403
        world.jwt = jwt_settings(algorithms=["HS256"], secret=SECRET)
        await authentication.use(world.settings)
        assert (await service.get(PATH, token=sign(ec_key(), "ES256", kid="a"))).status == 401
        assert (await service.get(PATH, token=sign(SECRET, "HS256"))).status == 200


async def test_a_key_server_that_is_down_takes_nobodys_keys_away(world: World) -> None:
    """Neither when something else of `auth.jwt` changed, nor when the new URL gives none."""
    async with key_server(jwks(jwk(ec_key(), "a"))) as server, key_server(b"no keys") as other:
        world.jwt = jwt_settings(algorithms=["ES256"], jwks_url=server.url)
        service = await world.start()
        authentication = service.app[AUTHENTICATION]
        signed = sign(ec_key(), "ES256", kid="a")
        server.keys = b"no keys"
        world.jwt = jwt_settings(algorithms=["ES256"], jwks_url=server.url, leeway=1)
        await authentication.use(world.settings)
        assert (await service.get(PATH, token=signed)).status == 200
        for algorithms, url in ((["ES256"], other.url), (["ES256", "RS256"], server.url)):
            world.jwt = jwt_settings(algorithms=algorithms, jwks_url=url)
            with pytest.raises(ConfigError, match=r"auth\.jwt\.jwks_url"):
                await authentication.use(world.settings)
            assert (await service.get(PATH, token=signed)).status == 200


def until(process: subprocess.Popen[str], words: str) -> None:
    """Read the command's log up to a line with these words."""
    assert process.stdout is not None
    assert any(words in line for line in process.stdout)


async def test_sighup_takes_new_tokens_over_and_cuts_no_transfer(tmp_path: Path) -> None:
    root = tmp_path / "data" / "user_sessions" / "alice"
    root.mkdir(parents=True)
    data = noise(30_000_000)  # more than the sockets' buffers hold
    (root / "a.jsonl").write_bytes(data)
    config = configure(tmp_path)
    old = (tmp_path / "token").read_text()
    (tmp_path / "users.csv").write_text("id,email,name\nu1,alice@example.com,\n")
    run("users", "import", "users.csv", cwd=tmp_path)
    with running("serve", cwd=tmp_path, until=r"server\.trusted_proxies") as (process, lines):
        said = "".join(lines)
        assert "static tokens (auth.tokens): on, 1 known, 1 of them for admins, 0 expired" in said
        assert "JWTs (auth.jwt): off" in said
        assert "identity headers of a proxy (auth.proxy): off" in said
        assert "(server.trusted_proxies): off" in said
        url = re.findall(r"http://\S+", said)[0] + "/api/admin/users/u1/sessions"
        async with aiohttp.ClientSession(auto_decompress=False) as client:

            async def status(token: str) -> int:
                async with client.get(url, headers={"Authorization": f"Bearer {token}"}) as response:
                    return response.status

            async with client.get(f"{url}/download-all", headers={"Authorization": f"Bearer {old}"}) as response:
                received = await response.content.readexactly(1000)
                config.write_text("auth: {tokens: [")
                process.send_signal(signal.SIGHUP)
                until(process, "STAYS AS IT WAS")
                assert await status(old) == 200
                configure(tmp_path)
                process.send_signal(signal.SIGHUP)
                until(process, "configuration read again")
                assert await status(old) == 401
                assert await status((tmp_path / "token").read_text()) == 200
                assert not response.content.is_eof()
                received += await response.content.read()
        with zipfile.ZipFile(io.BytesIO(received)) as opened:
            assert opened.read("a.jsonl") == data
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
