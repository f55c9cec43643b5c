"""JWTs: the attacks that are known, and a server of keys at its worst."""

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.auth import keys as keys_module
from service.auth.keys import InvalidKeySet, KeySet, RemoteKeys
from service.config import ConfigError
from tests.issuer import (
    ISSUER,
    SECRET,
    KeyServer,
    claims,
    ec_key,
    jwk,
    jwks,
    jwt_settings,
    key_server,
    rsa_key,
    sign,
)
from tests.world import World

PATH = "u-1/activity"
SET = jwks(
    jwk(rsa_key(), "rsa"),
    jwk(rsa_key(2), "next"),
    jwk(ec_key(), "ec"),
    jwk(rsa_key(1), "encrypting", use="enc"),
)


def part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def unsigned(header: object, body: object, signature: str = "") -> str:
    return f"{part(header)}.{part(body)}.{signature}"


def hmac_with_public_key(form: Encoding, of: PublicFormat) -> str:
    """HS256 with what everybody knows for a secret; by hand, as libraries refuse to."""
    import hashlib
    import hmac

    secret = rsa_key().public_key().public_bytes(form, of)
    text = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'rsa'})}.{part(claims())}"
    return f"{text}.{part(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def rs256(**other: Any) -> str:
    return sign(rsa_key(), "RS256", kid="rsa", **other)


def seconds_from_now(seconds: int) -> int:
    """Taken when a test runs, which may be many minutes after this file was read."""
    return int(time.time()) + seconds


def tampered(token: str) -> str:
    header, body, signature = token.split(".")
    grown = json.loads(base64.urlsafe_b64decode(body + "==")) | {"sub": "root"}
    return f"{header}.{part(grown)}.{signature}"


REFUSED: dict[str, Callable[[], str]] = {
    "none": lambda: unsigned({"alg": "none", "typ": "JWT"}, claims()),
    "none, in other letters": lambda: unsigned({"alg": "nOnE", "kid": "rsa"}, claims()),
    "no algorithm": lambda: unsigned({"typ": "JWT", "kid": "rsa"}, claims(), part(b"x" * 256)),
    "an algorithm that is a list": lambda: unsigned({"alg": ["RS256"], "kid": "rsa"}, claims(), "AAAA"),
    "no signature": lambda: rs256().rpartition(".")[0] + ".",
    "the public key as a secret, PEM": lambda: hmac_with_public_key(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "the public key as a secret, DER": lambda: hmac_with_public_key(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "the public key as a secret, PKCS 1": lambda: hmac_with_public_key(Encoding.PEM, PublicFormat.PKCS1),
    "an algorithm that is not allowed": lambda: sign(rsa_key(), "RS384", kid="rsa"),
    "another's key": lambda: sign(rsa_key(9), "RS256", kid="rsa"),
    "a key for another purpose": lambda: sign(rsa_key(1), "RS256", kid="encrypting"),
    "a key of another type": lambda: sign(rsa_key(), "RS256", kid="ec"),
    "an unknown key": lambda: sign(rsa_key(9), "RS256", kid="unknown"),
    "no key id, where there are many": lambda: sign(rsa_key(), "RS256"),
    "a key id that is a path": lambda: sign(b"\0" * 32, "HS256", kid="../../../dev/null"),
    "a key id that is a list": lambda: unsigned({"alg": "RS256", "kid": ["rsa"]}, claims(), "AAAA"),
    "its own key": lambda: sign(rsa_key(9), "RS256", header={"jwk": jwk(rsa_key(9), "mine")}, kid="mine"),
    "where its key is": lambda: sign(rsa_key(9), "RS256", header={"jku": "http://127.0.0.1:9/"}, kid="mine"),
    "an unknown critical extension": lambda: rs256(header={"crit": ["x"], "x": 1}),
    "changed claims": lambda: tampered(rs256()),
    "another audience": lambda: rs256(aud="another-service"),
    "other audiences": lambda: rs256(aud=["a", "session-export-2"]),
    "no audience": lambda: rs256(aud=None),
    "another issuer": lambda: rs256(iss=ISSUER + "x"),
    "no issuer": lambda: rs256(iss=None),
    "issuers": lambda: raw_signed({**claims(), "iss": [ISSUER]}),
    "expired": lambda: rs256(exp=seconds_from_now(-31)),
    "no end": lambda: rs256(exp=None),
    "an end that is no number": lambda: raw_signed({**claims(), "exp": "never"}),
    "an endless end": lambda: raw_signed(json.dumps(claims(exp=1)).replace('"exp": 1', '"exp": 1e999').encode()),
    "not yet valid": lambda: rs256(nbf=seconds_from_now(600)),
    "issued in the future": lambda: rs256(iat=seconds_from_now(600)),
    "no user": lambda: rs256(sub=None),
    "an empty user": lambda: rs256(sub=""),
    "a user that is a number": lambda: raw_signed({**claims(), "sub": 7}),
    "a user with a line's end": lambda: rs256(sub="a\nb"),
    "a very long user": lambda: rs256(sub="a" * 257),
    "claims that are a list": lambda: raw_signed([claims()]),
    "claims that are no JSON": lambda: raw_signed(b"\xff{"),
    "nested too deep": lambda: unsigned(b"[" * 5000, claims(), "AAAA"),
    "a number too long": lambda: unsigned(b'{"alg":' + b"9" * 5000 + b"}", claims(), "AAAA"),
    "five parts, as if encrypted": lambda: f"{part({'alg': 'RSA-OAEP', 'enc': 'A128GCM'})}.a.b.c.d",
    "two parts": lambda: rs256().rpartition(".")[0],
    "rubbish": lambda: "a.b.c",
    "dots": lambda: "..",
    "not ASCII": lambda: "\u00fc.\u00fc.\u00fc",
    "white space": lambda: rs256().replace(".", ". "),
}  # fmt: skip


def raw_signed(body: object) -> str:
    """Claims that libraries refuse to sign."""
    import jwt

    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return jwt.PyJWS().encode(text, rsa_key(), "RS256", headers={"kid": "rsa"})


@pytest.fixture
async def keyed(world: World, tmp_path: Path) -> AsyncIterator[World]:
    """A service that knows the issuer's keys from a file."""
    file = tmp_path / "jwks.json"
    file.write_bytes(SET)
    world.jwt = jwt_settings(algorithms=["RS256", "ES256"], jwks_file=file)
    yield await world.start()


async def test_a_token_that_is_not_right_in_every_point_is_401(keyed: World, caplog: pytest.LogCaptureFixture) -> None:
    for attack, make in REFUSED.items():
        caplog.clear()
        token = make()
        answer = await keyed.get(PATH, token=token)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), attack
        assert "refused 401" in caplog.text, attack
        assert "unexpected error" not in caplog.text, attack
        assert token not in caplog.text, attack
    assert await keyed.audit() == []


@pytest.mark.parametrize(
    "token",
    [
        rs256,
        lambda: sign(ec_key(), "ES256", kid="ec"),
        lambda: rs256(aud=["another", "session-export"]),
        lambda: rs256(exp=seconds_from_now(-5)),
        lambda: rs256(nbf=seconds_from_now(5), iat=seconds_from_now(5)),
    ],
    ids=["RSA", "EC", "one of many audiences", "a clock that is late", "a clock that is early"],
)
async def test_a_good_token_opens_the_service(keyed: World, token: Callable[[], str]) -> None:
    assert (await keyed.get(PATH, token=token())).status == 200
    assert [row["user_id"] for row in await keyed.audit()] == ["jwt-admin"]


async def test_a_token_of_100_kb_is_refused_before_it_is_looked_at(keyed: World) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", keyed.running.port)
    token = rs256(padding="x" * 75_000)
    assert len(token) > 100_000
    writer.write(f"GET /api/admin/users/{PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.split()[1] == b"400"
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    ("claim", "value", "status"),
    [
        ("groups", ["admins"], 200),
        ("groups", "admins", 200),
        ("groups", ["Admins", "admins2", ["admins"], {"admins": 1}, None, 1], 403),
        ("groups", "all admins", 403),
        ("groups", {"admins": True}, 403),
        ("groups", True, 403),
        ("groups", None, 403),
    ],
)
async def test_an_admin_has_the_value_or_it_among_others(keyed: World, claim: str, value: object, status: int) -> None:
    assert (await keyed.get(PATH, token=rs256(**{claim: value}))).status == status


@pytest.mark.parametrize(
    ("name", "more", "status"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["admins"]}}, 200),
        ("realm_access.roles", {"realm_access": {"roles": []}}, 403),
        ("realm_access.roles", {"realm_access": "admins"}, 403),
        ("https://example.com/roles", {"https://example.com/roles": ["admins"]}, 200),
        ("missing", {}, 403),
    ],
)
async def test_the_admin_claim_may_be_nested_or_have_dots_in_its_name(
    world: World, name: str, more: dict[str, Any], status: int
) -> None:
    world.jwt = jwt_settings(algorithms=["HS256"], secret=SECRET, admin_claim=name, user_claim="email")
    service = await world.start()
    token = sign(SECRET, "HS256", email="ann@example.com", **more)
    assert (await service.get(PATH, token=token)).status == status
    if status == 200:
        assert [row["user_id"] for row in await service.audit()] == ["ann@example.com"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_with_a_secret_no_other_signature_counts(world: World, algorithm: str) -> None:
    world.jwt = jwt_settings(algorithms=["HS256"], secret=SECRET)
    service = await world.start()
    key = rsa_key() if algorithm == "RS256" else ec_key()
    assert (await service.get(PATH, token=sign(key, algorithm))).status == 401
    assert (await service.get(PATH, token=sign(SECRET * 2, "HS512"))).status == 401
    assert (await service.get(PATH, token=sign(SECRET, "HS256"))).status == 200


async def test_a_token_without_a_key_id_means_the_only_key(world: World, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(jwks(jwk(ec_key(), None)))
    world.jwt = jwt_settings(algorithms=["ES256"], jwks_file=file)
    service = await world.start()
    assert (await service.get(PATH, token=sign(ec_key(), "ES256"))).status == 200
    assert (await service.get(PATH, token=sign(ec_key(), "ES256", kid="x"))).status == 401


async def test_a_key_that_is_too_short_lets_nobody_in(world: World, tmp_path: Path) -> None:
    weak = rsa_key(bits=1024)
    file = tmp_path / "jwks.json"
    file.write_bytes(jwks(jwk(weak, "weak")))
    world.jwt = jwt_settings(algorithms=["RS256"], jwks_file=file)
    service = await world.start()
    with pytest.warns(UserWarning, match="1024"):
        token = sign(weak, "RS256", kid="weak")
    assert (await service.get(PATH, token=token)).status == 401


RUBBISH = {
    "nothing": b"",
    "a page": b"<html>Sign in</html>",
    "a list": b"[]",
    "no keys": b'{"keys": []}',
    "keys that are none": b'{"keys": [1, "a", null, {}]}',
    "keys that are no list": b'{"keys": {"a": 1}}',
    "keys that are a number": b'{"keys": 1}',
    "a secret": b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "rsa"}]}',
    "a broken key": b'{"keys": [{"kty": "RSA", "n": "!", "e": "AQAB", "kid": "rsa"}]}',
    "a key id that is a list": jwks(jwk(rsa_key(), None) | {"kid": ["rsa"]}),
    "a key for another algorithm": jwks(jwk(rsa_key(), "rsa", alg="RSA-OAEP")),
    "nested too deep": b"[" * 100_000,
    "a number too long": b'{"keys": ' + b"9" * 100_000 + b"}",
    "not UTF-8": b"\xff\xfe\xfd",
    "too much": b" " * 300_000 + SET,
}


@pytest.mark.parametrize("rubbish", RUBBISH)
async def test_a_file_without_usable_keys_stops_the_start(world: World, tmp_path: Path, rubbish: str) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(RUBBISH[rubbish])
    world.jwt = jwt_settings(algorithms=["RS256"], jwks_file=file)
    with pytest.raises(ConfigError, match=r"auth\.jwt\.jwks_file: .*jwks\.json"):
        await world.start()


async def test_a_file_that_is_missing_stops_the_start(world: World, tmp_path: Path) -> None:
    world.jwt = jwt_settings(algorithms=["RS256"], jwks_file=tmp_path / "none.json")
    with pytest.raises(ConfigError, match=r"none\.json.*No such file"):
        await world.start()


@pytest.fixture
async def server() -> AsyncIterator[KeyServer]:
    async with key_server(SET) as served:
        yield served


@pytest.fixture
async def remote(world: World, server: KeyServer) -> World:
    """A service that asks the server of keys; not started."""
    world.jwt = jwt_settings(algorithms=["RS256", "ES256"], jwks_url=server.url)
    return world


async def refused_then_known(remote: World, server: KeyServer) -> None:
    """Nobody with a JWT gets in, all others do; and once the server is well again, JWTs do too."""
    service = await remote.start()
    assert (await service.get(PATH, token=rs256())).status == 401
    assert (await service.get(PATH)).status == 200
    server.answering = KeyServer(SET)._answer
    assert (await service.get(PATH, token=rs256())).status == 200


@pytest.fixture
def without_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "FETCH_INTERVAL", 0)


async def test_keys_from_a_url_are_fetched_once(remote: World, server: KeyServer) -> None:
    service = await remote.start()
    for _ in range(3):
        assert (await service.get(PATH, token=rs256())).status == 200
        assert (await service.get(PATH, token=sign(ec_key(), "ES256", kid="ec"))).status == 200
    assert server.asked == 1


@pytest.mark.usefixtures("without_pause")
async def test_a_new_key_is_found_and_a_withdrawn_one_forgotten(remote: World, server: KeyServer) -> None:
    service = await remote.start()
    server.keys = jwks(jwk(rsa_key(3), "new"))
    assert (await service.get(PATH, token=sign(rsa_key(3), "RS256", kid="new"))).status == 200
    assert (await service.get(PATH, token=rs256())).status == 401


async def test_unknown_keys_make_no_more_than_one_question_a_minute(remote: World, server: KeyServer) -> None:
    service = await remote.start()
    tokens = [sign(rsa_key(9), "RS256", kid=f"unknown-{n}") for n in range(20)]
    answers = await asyncio.gather(*(service.get(PATH, token=token) for token in tokens))
    assert {answer.status for answer in answers} == {401}
    assert server.asked == 1, "at the start"


@pytest.mark.usefixtures("without_pause")
@pytest.mark.parametrize("rubbish", RUBBISH)
async def test_a_server_that_answers_rubbish_lets_nobody_in_and_breaks_nothing(
    remote: World, server: KeyServer, rubbish: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.answering = KeyServer(RUBBISH[rubbish])._answer
    caplog.set_level("INFO")
    await refused_then_known(remote, server)
    assert f"auth.jwt: no keys from {server.url}" in caplog.text
    assert "its JWTs are rejected" in caplog.text
    assert f"auth.jwt: keys from {server.url}: 3 again" in caplog.text


async def _fails(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=500, body=SET)


async def _sends_elsewhere(request: web.Request) -> web.StreamResponse:
    if request.query:
        return web.Response(body=SET)  # which must not be taken
    raise web.HTTPFound(f"{request.path}?elsewhere")


async def _hangs_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _never_ends(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(SET[:100])
    await asyncio.Event().wait()
    return response


@pytest.mark.usefixtures("without_pause")
@pytest.mark.parametrize("answering", [_fails, _sends_elsewhere, _hangs_up, _never_ends, KeyServer.never])
async def test_a_server_that_is_slow_or_dead_lets_nobody_in_and_breaks_nothing(
    remote: World, server: KeyServer, answering: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "FETCH_TIMEOUT", 0.3)
    server.answering = answering
    await refused_then_known(remote, server)


async def test_where_nobody_listens_the_service_starts_and_says_so(
    world: World, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    world.jwt = jwt_settings(algorithms=["RS256"], jwks_url=f"http://127.0.0.1:{unused_tcp_port}/?key=hidden")
    service = await world.start()
    assert (await service.get(PATH, token=rs256())).status == 401
    assert (await service.get(PATH)).status == 200
    assert "no keys from http://127.0.0.1" in caplog.text
    assert "hidden" not in caplog.text


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def ticking(server: KeyServer) -> AsyncIterator[tuple[RemoteKeys, Clock]]:
    clock = Clock()
    keys = RemoteKeys(server.url, ["RS256"], clock)
    yield keys, clock
    await keys.close()


async def test_an_unknown_key_is_asked_for_once_the_minute_is_over(
    ticking: tuple[RemoteKeys, Clock], server: KeyServer
) -> None:
    keys, clock = ticking
    assert await keys.key("rsa", "RS256") is not None
    for seconds, asked in ((0, 1), (59.9, 1), (0.2, 2), (59.9, 2), (0.2, 3)):
        clock.now += seconds
        assert await keys.key("unknown", "RS256") is None
        assert server.asked == asked


async def test_who_has_a_known_key_does_not_wait_for_a_server_that_is_slow(
    ticking: tuple[RemoteKeys, Clock], server: KeyServer
) -> None:
    keys, clock = ticking
    assert await keys.key("rsa", "RS256") is not None
    server.answering = server.never
    clock.now += keys_module.REFRESH_AFTER
    assert await keys.key("rsa", "RS256") is not None
    assert keys._fetching is not None and not keys._fetching.done(), "asked, and nobody waits"


async def test_keys_that_cannot_be_renewed_are_used_for_an_hour_and_not_longer(
    ticking: tuple[RemoteKeys, Clock], server: KeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    keys, clock = ticking
    await keys.refresh()
    server.answering = _fails
    clock.now += keys_module.LIFETIME - 1
    assert await keys.key("rsa", "RS256") is not None
    await keys.refresh()
    assert "the keys last fetched are used for 1 s more" in caplog.text
    clock.now += 1
    assert await keys.key("rsa", "RS256") is None


async def test_a_key_servers_name_is_looked_up_without_the_default_executor(server: KeyServer) -> None:
    keys = RemoteKeys(server.url.replace("127.0.0.1", "localhost"), ["RS256"])
    assert await keys.key("rsa", "RS256") is not None
    await keys.close()
    assert vars(asyncio.get_running_loop()).get("_default_executor") is None


async def test_a_name_whose_lookup_hangs_keeps_nothing_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    began, release = threading.Event(), threading.Event()

    def hang(*_: object) -> list[object]:
        began.set()
        release.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    keys = RemoteKeys("http://keys.example/jwks.json", ["RS256"])
    asking = asyncio.create_task(keys.key("rsa", "RS256"))
    while not began.is_set():
        await asyncio.sleep(0.001)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "apart"]
    await keys.close()
    assert await asking is None
    assert thread.daemon, "the process does not wait for it either"
    release.set()
    thread.join()


async def test_after_closing_nothing_is_asked(server: KeyServer) -> None:
    clock = Clock()
    keys = RemoteKeys(server.url, ["RS256"], clock)
    server.answering = server.never
    waiting = asyncio.create_task(keys.key("rsa", "RS256"))
    while not server.asked:
        await asyncio.sleep(0)
    await keys.close()
    assert await waiting is None, "who waits gets an answer"
    asking = keys._fetching
    clock.now += keys_module.FETCH_INTERVAL
    assert await keys.key("rsa", "RS256") is None
    assert keys._fetching is asking
    assert server.asked == 1


def test_the_algorithm_that_a_key_names_is_the_only_one_it_is_for() -> None:
    keys = KeySet(jwks(jwk(rsa_key(), "a", alg="RS512"), jwk(rsa_key(1), "b")), ["RS256", "RS512"])
    found = {(kid, name): keys.find(kid, name) is not None for kid in "ab" for name in ("RS256", "RS512")}
    assert found == {("a", "RS256"): False, ("a", "RS512"): True, ("b", "RS256"): True, ("b", "RS512"): True}
    with pytest.raises(InvalidKeySet, match="2 keys, none of them for ES256"):
        KeySet(jwks(jwk(rsa_key(), "a"), jwk(rsa_key(1), "b")), ["ES256"])
