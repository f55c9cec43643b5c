import re
from pathlib import Path

import pytest
import yaml

from service.config import ConfigError, Jwt, ProxyHeaders, Settings, Token, load_settings

TOP = Path(__file__).parent.parent


def load(tmp_path: Path, text: str, **environ: str) -> Settings:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return load_settings(file, environ)


def test_the_shipped_file_is_the_defaults_and_names_every_key() -> None:
    assert load_settings(TOP / "config.yaml", {}).model_dump() == Settings().model_dump()
    text = (TOP / "config.yaml").read_text()
    shipped = yaml.safe_load(text)
    assert {section: set(keys) for section, keys in shipped.items()} == {
        section: set(type(getattr(Settings(), section)).model_fields) for section in Settings.model_fields
    }
    for section in shipped:
        for key in shipped[section]:
            assert re.search(rf"\n(  # .*\n)*  {key}:.*( # \w+|\n  # )", text) or key in ("layouts", "s3", "tokens"), (
                key
            )


def test_environment_overrides_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, "server: {port: 1, host: h}", SESSION_EXPORT__SERVER__PORT="9000")
    assert (settings.server.port, settings.server.host) == (9000, "h")


def test_lists_come_from_the_environment_as_json(tmp_path: Path) -> None:
    settings = load(tmp_path, "", SESSION_EXPORT__STORAGE__LAYOUTS='["{user_id}"]')
    assert settings.storage.layouts == ("{user_id}",)


def test_session_data_dir_sets_the_root(tmp_path: Path) -> None:
    assert load(tmp_path, "storage: {root: /file}", SESSION_DATA_DIR="/env").storage.root == Path("/env")
    both = load(tmp_path, "", SESSION_DATA_DIR="/alias", SESSION_EXPORT__STORAGE__ROOT="/own")
    assert both.storage.root == Path("/own")


@pytest.mark.parametrize(
    ("text", "environ", "words"),
    [
        ("server: {port: 99999}", {}, ["server.port", "99999", "less than or equal to 65535"]),
        ("server: {port: abc}", {}, ["server.port", "'abc'", "integer"]),
        ("server: {prot: 1}", {}, ["server.prot", "unknown key", "1", "host, port"]),
        ("srver: {port: 1}", {}, ["srver", "unknown key", "server, storage"]),
        ("server: 5", {}, ["server", "5", "dictionary"]),
        ("exports: {stall_timeout: 0}", {}, ["exports.stall_timeout", "0", "greater than 0"]),
        ("storage: {layouts: [all]}", {}, ["storage.layouts[0]", "'all'", "{user_id}"]),
        ("storage: {layouts: []}", {}, ["storage.layouts", "at least 1"]),
        ("catalog: {memory_limit: much}", {}, ["catalog.memory_limit", "'much'"]),
        ("catalog: {url: 'mysql://h/db'}", {}, ["catalog.url", "'mysql://h/db'", "postgresql://user@host/database"]),
        ("catalog: {url: 'postgres:/u@h/db'}", {}, ["catalog.url", "(not shown)", "postgresql://user@host/database"]),
        ("catalog: {url: 'duckdb://a.duckdb'}", {}, ["catalog.url", "'duckdb://a.duckdb'", "duckdb:///path"]),
        ("catalog: {url: 'postgresql://u:secret@[h/db'}", {}, ["catalog.url", "(not shown)"]),
        ("a: b: c", {}, ["config.yaml", "mapping values are not allowed"]),
        ("[1, 2]", {}, ["config.yaml", "cannot be read"]),
        ("", {"SESSION_EXPORT__SERVER__PORT": "abc"}, ["server.port", "'abc'", "integer"]),
        ("", {"SESSION_EXPORT__SERVER__PROT": "1"}, ["server.prot", "unknown key"]),
        ("", {"SESSION_EXPORT__SRV__PORT": "1"}, ["SESSION_EXPORT__SRV__PORT", "unknown section 'srv'"]),
        ("", {"SESSION_EXPORT__STORAGE__LAYOUTS": "x"}, ["environment", "storage", "JSON"]),
    ],
)
def test_a_wrong_key_is_one_clear_line(tmp_path: Path, text: str, environ: dict[str, str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as wrong:
        load(tmp_path, text, **environ)
    line = str(wrong.value)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as wrong:
        load(tmp_path, "server: {port: x, hots: y}")
    assert len(str(wrong.value).splitlines()) == 2


def test_a_token_that_stands_where_its_digest_belongs_is_not_echoed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as wrong:
        load(tmp_path, "auth: {tokens: [{name: a, user_id: b, sha256: my-secret-token, tokn: my-other-secret}]}")
    assert "auth.tokens[0].sha256" in str(wrong.value)
    assert "secret" not in str(wrong.value)


JWT = {"issuer": "i", "audience": "a", "admin_claim": "g", "admin_value": "v", "algorithms": ["HS256"]}
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ({"jwt": JWT}, "auth.jwt: got (not shown); expected exactly one of secret, jwks_file, jwks_url"),
        ({"jwt": JWT | {"secret": SECRET, "jwks_file": "f"}}, "expected exactly one of secret, jwks_file, jwks_url"),
        ({"jwt": JWT | {"secret": SECRET[1:]}}, "expected a secret of at least 32 bytes"),
        ({"jwt": JWT | {"secret": SECRET, "algorithms": ["HS256", "HS512"]}}, "expected a secret of at least 64 bytes"),
        ({"jwt": JWT | {"secret": SECRET, "algorithms": ["HS256", "RS256"]}}, "the HS algorithms with a secret"),
        ({"jwt": JWT | {"jwks_file": "f"}}, "the HS algorithms with a secret"),
        ({"jwt": JWT | {"secret": SECRET, "algorithms": []}}, "auth.jwt.algorithms"),
        ({"jwt": JWT | {"secret": SECRET, "algorithms": ["none"]}}, "auth.jwt.algorithms[0]"),
        ({"jwt": JWT | {"jwks_url": "http://login.example.com/"}}, "auth.jwt.jwks_url: got (not shown); expected https://"),
        ({"jwt": JWT | {"jwks_url": "https://me:secret@login.example.com/"}}, "without a user's name"),
        ({"jwt": JWT | {"jwks_url": "file:///etc/passwd"}}, "expected https://"),
        ({"jwt": JWT | {"secret": SECRET, "leeway": 301}}, "auth.jwt.leeway"),
        ({"jwt": JWT | {"sekret": SECRET}}, "auth.jwt.sekret: unknown key"),
        ({"jwt": {"secret": SECRET}}, "auth.jwt.issuer: missing"),
        ({"proxy": {"user_header": "X User"}}, "auth.proxy.user_header"),
        ({"proxy": {"user_header": "U", "groups_header": "G", "admin_group": "a,b"}}, "auth.proxy.admin_group"),
    ],
)  # fmt: skip
def test_half_a_way_to_authenticate_is_refused_and_no_secret_shown(
    tmp_path: Path, auth: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError) as wrong:
        load(tmp_path, yaml.safe_dump({"auth": auth}))
    assert words in str(wrong.value)
    assert "secret@" not in str(wrong.value)
    assert SECRET[1:] not in str(wrong.value)


def test_a_secret_may_come_from_the_environment_and_is_not_shown_by_the_settings(tmp_path: Path) -> None:
    settings = load(tmp_path, yaml.safe_dump({"auth": {"jwt": JWT}}), SESSION_EXPORT__AUTH__JWT__SECRET=SECRET)
    assert settings.auth.jwt is not None and settings.auth.jwt.secret is not None
    assert settings.auth.jwt.secret.get_secret_value() == SECRET
    assert SECRET not in f"{settings!r} {settings}"


@pytest.mark.parametrize("text", [f"jwt: {{secret: {SECRET}}}", f"jwt_secret: {SECRET}", f"storage: [{SECRET}]"])
def test_a_secret_in_the_wrong_place_is_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        load(tmp_path, text)
    assert "(not shown)" in str(wrong.value)
    assert SECRET not in str(wrong.value)


@pytest.mark.parametrize(
    "proxies", ["[0.0.0.0/0]", "['::/0']", "[localhost]", "[10.0.0.1/8]", "[10.0.0.0/33]", "127.0.0.1"]
)
def test_who_is_trusted_is_named_by_address(tmp_path: Path, proxies: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.trusted_proxies"):
        load(tmp_path, f"server: {{trusted_proxies: {proxies}}}")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_settings(Path("nowhere.yaml"), {})


def test_every_key_says_what_it_means() -> None:
    for section in Settings.model_fields:
        for name, field in type(getattr(Settings(), section)).model_fields.items():
            assert field.description, f"{section}.{name}"
    for nested in (Token, Jwt, ProxyHeaders):
        for name, field in nested.model_fields.items():
            assert field.description, f"{nested.__name__}.{name}"
