"""Settings: config.yaml, overridden by environment variables. Each key states its unit and meaning here, once."""

import os
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)
from yaml import YAMLError

from service.archive.codec import Compression
from service.store.layout import checked_layout
from service.store.root import BucketRoot, parse_root

PREFIX = "SESSION_EXPORT__"
ROOT_ALIAS = "SESSION_DATA_DIR"
SECRET_NAME = re.compile(r"token|secret|password|sha256|jwt", re.IGNORECASE)
HEADER_NAME = "^[A-Za-z0-9-]{1,64}$"
Algorithm: TypeAlias = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]


class ConfigError(Exception):
    """The configuration cannot be used; the text says which key, which value, and what was expected."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _checked_network(network: IPvAnyNetwork) -> IPvAnyNetwork:
    if network.prefixlen == 0:
        raise ValueError("the proxies' own addresses; this network includes everybody")
    return network


def _checked_endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("a URL such as https://s3.example.com:9000")
    return url


def _checked_url(url: str) -> str:
    """Reject plain HTTP: whoever can replace keys on the network could authenticate as anybody."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or parts.username or not (parts.scheme == "https" or local):
        raise ValueError("https://, or http:// on this machine, without a user's name")
    return url


class Server(Section):
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    max_connections: int = Field(
        1000, ge=1, le=65535, description="Connections open at once; beyond it the one idle longest is closed."
    )
    idle_timeout: float = Field(
        75,
        gt=0,
        le=3600,
        description="Seconds that a connection may wait for a whole request, or for the client to read a response.",
    )
    shutdown_timeout: float = Field(
        30,
        ge=0,
        le=3600,
        description="Seconds that running transfers get to end after SIGTERM; then they are broken off.",
    )
    trusted_proxies: tuple[Annotated[IPvAnyNetwork, AfterValidator(_checked_network)], ...] = Field(
        (), description="Addresses or networks of the reverse proxies that may say where a request came from."
    )
    forwarded_header: Literal["X-Forwarded-For", "Forwarded"] = Field(
        "X-Forwarded-For", description="The header in which these proxies name the client."
    )


class S3(Section):
    endpoint: Annotated[str, AfterValidator(_checked_endpoint)] | None = Field(
        None, description="URL of a server other than AWS's, without the bucket."
    )
    region: str | None = Field(
        None, min_length=1, description="Region; empty: AWS_REGION and the like, else us-east-1."
    )
    path_style: bool = Field(False, description="Whether the bucket is in the URL's path, not in its host name.")
    connections: int = Field(128, ge=1, le=1024, description="Requests to the bucket that run at once.")
    prefetch_memory: int = Field(
        128, ge=1, le=65536, description="MiB of session files that all exports together may fetch in advance."
    )


class Storage(Section):
    root: Annotated[Path | BucketRoot, BeforeValidator(parse_root)] = Field(
        Path("data/user_sessions"),
        description="Directory, or s3://bucket/prefix, that holds a directory of session files for each user.",
    )
    s3: S3 = Field(S3(), description="How the bucket is reached, where the root is one.")
    layouts: tuple[Annotated[str, AfterValidator(checked_layout)], ...] = Field(
        ("{email_local}", "{user_id}"),
        min_length=1,
        description="Names of a user's directories, the first wins; {email_local}, {email}, {user_id} are filled in.",
    )
    threads: int = Field(8, ge=1, le=256, description="Threads that list, open and read files.")


def _checked_catalog(url: object) -> object:
    """A path, or a URL of a known engine. Any other scheme before a colon is rejected as a typo."""
    if isinstance(url, Path):
        return str(url)
    if isinstance(url, str) and (scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", url)):
        rest = url.removeprefix(scheme[0])
        absolute = scheme[1] == "duckdb" and rest.startswith("///") and len(rest) > len("///")
        if not absolute and not (scheme[1] in ("postgresql", "postgres") and rest.startswith("//")):
            raise ValueError("a path, duckdb:///path, or postgresql://user@host/database")
        urlsplit(url)  # raises ValueError too
    return url


class Catalog(Section):
    url: Annotated[str, BeforeValidator(_checked_catalog)] = Field(
        "data/catalog.duckdb",
        min_length=1,
        description="The catalog: a DuckDB file (made when missing), or postgresql://user@host/database.",
    )
    threads: int = Field(4, ge=1, le=64, description="Queries that run at once.")
    memory_limit: str = Field(
        "128MB",
        pattern=r"^[1-9][0-9]*(KB|MB|GB|KiB|MiB|GiB)$",
        description="Most memory that DuckDB takes, such as 128MB.",
    )

    @property
    def file(self) -> Path | None:
        """The DuckDB file; None for PostgreSQL."""
        return None if "://" in self.url.removeprefix("duckdb://") else Path(self.url.removeprefix("duckdb://"))

    @property
    def shown(self) -> str:
        """The URL for the log: without the password, and without parameters, which may hold one."""
        if self.file is not None:
            return str(self.file)
        parts = urlsplit(self.url)
        user, _, hosts = parts.netloc.rpartition("@")
        user = user.partition(":")[0]
        return f"{parts.scheme}://{user}@{hosts}{parts.path}" if user else f"{parts.scheme}://{hosts}{parts.path}"


class Token(Section):
    name: str = Field(min_length=1, description="What the token is called in the log.")
    user_id: str = Field(min_length=1, description="The user that the token authenticates: the audit log's user_id.")
    admin: bool = Field(False, description="Whether it gives access to the admin API.")
    sha256: str = Field(pattern=r"^[0-9a-fA-F]{64}$", description="SHA-256 of the token, in hex. Never the token.")
    expires_at: datetime | None = Field(
        None, description="When it expires, ISO 8601; without a zone it is UTC. Empty: never."
    )


class Jwt(Section):
    issuer: str = Field(min_length=1, description="The claim iss that a token must have.")
    audience: str = Field(min_length=1, description="The value that a token must have in its claim aud.")
    algorithms: tuple[Algorithm, ...] = Field(min_length=1, description="The allowed signature algorithms.")
    secret: SecretStr | None = Field(None, description="Shared secret, for HS algorithms only.")
    jwks_file: Path | None = Field(None, description="File with the issuer's public keys, a JSON Web Key Set.")
    jwks_url: Annotated[str, AfterValidator(_checked_url)] | None = Field(
        None, description="URL of these keys; https, or http on this machine."
    )
    user_claim: str = Field("sub", min_length=1, description="The claim that is the user's id.")
    admin_claim: str = Field(
        min_length=1, description="The claim that makes a caller an admin; dots separate nested claims."
    )
    admin_value: str = Field(min_length=1, description="The value that this claim must be, or contain if it is a list.")
    leeway: float = Field(30, ge=0, le=300, description="Seconds that the issuer's clock may differ.")

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        """Never both: if a public key were used as a shared secret, everybody could sign."""
        sources = [self.secret, self.jwks_file, self.jwks_url]
        if sum(source is not None for source in sources) != 1:
            raise ValueError("exactly one of secret, jwks_file, jwks_url")
        if any(algorithm.startswith("HS") != (self.secret is not None) for algorithm in self.algorithms):
            raise ValueError("the HS algorithms with a secret, all others with jwks_file or jwks_url")
        if self.secret is not None:
            needed = max(int(algorithm[2:]) // 8 for algorithm in self.algorithms)  # RFC 7518 section 3.2
            if len(self.secret.get_secret_value().encode()) < needed:
                raise ValueError(f"a secret of at least {needed} bytes")
        return self


class ProxyHeaders(Section):
    user_header: str = Field(pattern=HEADER_NAME, description="Header in which the proxy sends the user's id.")
    groups_header: str = Field(pattern=HEADER_NAME, description="Header with the user's groups, separated by commas.")
    admin_group: str = Field(min_length=1, pattern="^[^,]+$", description="The group whose members are admins.")


class Auth(Section):
    tokens: tuple[Token, ...] = Field((), description="Static bearer tokens, as `session-export token` prints them.")
    jwt: Jwt | None = Field(None, description="JSON Web Tokens of an issuer, as bearer tokens.")
    proxy: ProxyHeaders | None = Field(None, description="Identity headers of an authenticating proxy.")


class Exports(Section):
    max_concurrent: int = Field(32, ge=1, le=256, description="Exports that run at once; others wait.")
    max_per_caller: int = Field(8, ge=1, le=256, description="Exports of one caller that run at once; others wait.")
    queue_timeout: float = Field(10, ge=0, le=3600, description="Seconds an export waits for its slot, then 503.")
    compression: Compression = Field(
        Compression.FAST, description="fast, small or store, where a request does not say ?compression= itself."
    )
    threads: int = Field(0, ge=0, le=256, description="Threads that read and deflate; 0: one for each core.")
    stall_timeout: float = Field(
        300, gt=0, le=86400, description="Seconds after which a client that takes no byte is cut off."
    )
    max_files: int = Field(1_000_000, ge=1, description="Session files that one export may have; more: 422.")
    patience: float = Field(
        10,
        ge=0,
        le=3600,
        description="Seconds for measuring an export that is resumed; if that is not enough, it is sent whole.",
    )


class Index(Section):
    enabled: bool = Field(
        True, description="Whether session files are read in the background; if not, only for requests that need it."
    )
    interval: float = Field(
        60,
        ge=1,
        le=86400,
        description="Seconds after which a file that came, grew or was replaced is read at the latest.",
    )
    patience: float = Field(
        10, ge=0, le=3600, description="Seconds that a request waits for files that it needs to be read; then 503."
    )


class Links(Section):
    secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="Signs links, at least 32 characters. Empty: made at the start, so that a restart ends all links.",
    )
    longest: int = Field(86400, ge=1, le=31_536_000, description="Seconds for which a link may be valid.")


class Metrics(Section):
    host: str = Field("127.0.0.1", min_length=1, description="Address at which Prometheus can scrape /metrics.")
    port: int | None = Field(
        None, ge=0, le=65535, description="TCP port for that; 0 takes a free one. Empty: no metrics."
    )


class Console(Section):
    enabled: bool = Field(True, description="Whether the admin's page is served at /.")


class LogFormat(StrEnum):
    """The format of a line."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The lowest level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Logging(Section):
    format: LogFormat = Field(LogFormat.TEXT, description="text, or json: an object a line.")
    level: LogLevel = Field(
        LogLevel.INFO, description="The lowest level that is logged: debug, info, warning or error."
    )


class Settings(BaseSettings):
    """All settings; `load_settings` reads them."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    server: Server = Server()
    storage: Storage = Storage()
    catalog: Catalog = Catalog()
    auth: Auth = Auth()
    exports: Exports = Exports()
    links: Links = Links()
    console: Console = Console()
    index: Index = Index()
    metrics: Metrics = Metrics()
    logging: Logging = Logging()


def load_settings(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read `file`, if given, and the environment, which overrides it. Raises ConfigError with a line per mistake."""
    _refuse_unknown_sections(environ)
    if file is not None and not file.is_file():
        raise ConfigError(f"{file}: no such configuration file")
    try:
        return _with_sources(file, environ)()
    except ValidationError as error:
        mistakes = error.errors()
        # For a tuple whose only item is wrong, pydantic also reports that it is too short; only the item matters.
        mistakes = [mistake for mistake in mistakes if mistake["type"] != "too_short"] or mistakes
        raise ConfigError("\n".join(_sentence(mistake) for mistake in mistakes)) from None
    except SettingsError as error:
        raise ConfigError(f"environment: {error}: {error.__cause__}; expected JSON") from None
    except (YAMLError, TypeError, ValueError) as error:
        raise ConfigError(f"{file}: cannot be read: {' '.join(str(error).split())}") from None


def _with_sources(file: Path | None, environ: Mapping[str, str]) -> type[Settings]:
    """Settings that come from the environment, then the file."""

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_defaults: PydanticBaseSettingsSource, **_more: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            env = EnvSettingsSource(settings_cls)
            env.env_vars = {name.lower(): value for name, value in environ.items()}
            root = environ.get(ROOT_ALIAS)
            alias = InitSettingsSource(settings_cls, {"storage": {"root": root}} if root else {})
            return env, alias, *([YamlConfigSettingsSource(settings_cls, file)] if file else [])

    return Loaded


def _refuse_unknown_sections(environ: Mapping[str, str]) -> None:
    """pydantic-settings sees a wrong key below a section, but not a section that does not exist."""
    for name in environ:
        section = name.upper().removeprefix(PREFIX).partition("__")[0].lower()
        if name.upper().startswith(PREFIX) and section not in Settings.model_fields:
            known = ", ".join(Settings.model_fields)
            raise ConfigError(f"environment variable {name}: unknown section {section!r}, expected one of {known}")


def _sentence(mistake: Any) -> str:
    key = re.sub(r"\.(\d+)", r"[\1]", ".".join(str(part) for part in mistake["loc"]))
    if mistake["type"] == "extra_forbidden":
        known = ", ".join(_siblings(mistake["loc"]))
        return f"{key}: unknown key with value {_shown(mistake, key)}; expected one of {known}"
    if mistake["type"] == "missing":
        return f"{key}: missing; expected a value"
    expected = re.sub(r"^(Value error, |Input should be |value is not )|( or instance of \w+$)", "", mistake["msg"])
    return f"{key}: got {_shown(mistake, key)}; expected {expected[0].lower()}{expected[1:]}"


def _shown(mistake: Any, key: str) -> str:
    """The value as it was given, unless it may contain a secret: a token in place of its digest, a section of `auth` in
    the wrong place, or a database URL with a password."""
    if key == "catalog.url" and "@" in str(mistake["input"]):
        return "(not shown)"
    if key.startswith("auth") or isinstance(mistake["input"], dict | list) or SECRET_NAME.search(key):
        return "(not shown)"
    return repr(mistake["input"])[:200]


def _siblings(loc: tuple[str | int, ...]) -> list[str]:
    """The valid keys at the place of this one."""
    section: type[BaseModel] = Settings
    for part in loc[:-1]:
        if isinstance(part, str):
            section = _section_in(section.model_fields[part].annotation) or section
    return list(section.model_fields)


def _section_in(annotation: Any) -> type[Section] | None:
    """The section class of a field, also if the field is optional or a tuple of sections."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)
