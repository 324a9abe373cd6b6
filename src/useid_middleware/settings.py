"""All settings: typed, frozen, checked when built.

From keywords (``Settings(app_name="Shop")``), from ``USEID_…`` environment variables (nested with two underscores:
``USEID_QR__LIFETIME=120``) and from a TOML file (``Settings(config_file="useid.toml")`` or ``USEID_CONFIG``); keywords
win over the environment, the environment over the file. A wrong setting raises one
:class:`~.errors.ConfigurationError` that names every wrong key and its remedy. ``from_env=False`` ignores environment
and file (tests).
"""

import os
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from .errors import ConfigurationError
from .identity import Level

Seconds = Annotated[float, Field(gt=0, le=400 * 86400)]


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def check_origin(origin: str) -> str:
    """A web origin (RFC 6454) in its one spelling: scheme, lower-case host, port unless default; no path."""
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or not origin.isascii():
        raise ValueError("must be an origin such as https://app.example")
    if parts.path or parts.query or parts.fragment or origin != origin.lower():
        raise ValueError("must be an origin in lower case, without path or trailing slash, such as https://app.example")
    if parts.port == {"http": 80, "https": 443}[parts.scheme] or parts.netloc.endswith(":"):
        raise ValueError("must not name the scheme's default port")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must be https; http is accepted for localhost alone")
    return origin


def _check_prefix(prefix: str) -> str:
    if not prefix.startswith("/") or prefix.endswith("/") or "//" in prefix or not prefix.replace("/", "").isalnum():
        raise ValueError("must be a path such as /auth: a leading slash, letters and digits, no trailing slash")
    return prefix


def _check_scheme(scheme: str) -> str:
    if not (
        scheme[:1].isalpha()
        and scheme.isascii()
        and scheme.islower()
        and scheme.replace("-", "").replace(".", "").isalnum()
    ):
        raise ValueError("must be a URI scheme in lower case, such as tana")
    if scheme in ("http", "https", "javascript", "data", "file", "blob", "about"):
        raise ValueError("must be a scheme of your phone app; for an https link set qr.universal_link")
    return scheme


def _check_universal_link(link: str) -> str:
    parts = urlsplit(link)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must be an https URL without query and fragment, such as https://app.example/phone")
    return link


def _check_url(schemes: tuple[str, ...], remedy: str) -> Any:
    def check(url: str) -> str:
        if not url.startswith(schemes):
            raise ValueError(f"must be {remedy}")
        return url

    return AfterValidator(check)


Origin = Annotated[str, AfterValidator(check_origin)]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class QRSettings(_Group):
    """The device switch."""

    enabled: bool = True
    scheme: Annotated[str, AfterValidator(_check_scheme)] = "tana"
    universal_link: Annotated[str, AfterValidator(_check_universal_link)] | None = None
    #: A waiting or scanned login ends after this.
    lifetime: Seconds = 300
    #: An approved login must be claimed (and its code typed) within this.
    claim_lifetime: Seconds = 120
    #: L0: plain QR. L1: the QR's frame rotates and a browser not yet known types a confirmation code.
    assurance: Literal["L0", "L1"] = "L1"
    #: Demand the code even from browsers that passed it before for the same account.
    code_for_known_browsers: bool = False
    known_browser_lifetime: Seconds = 180 * 86400
    frame_period: Annotated[float, Field(ge=5, le=300)] = 30
    enrolment_lifetime: Seconds = 300
    #: At most this many logins are waiting at once, over all processes that share the store.
    waiting_limit: Annotated[int, Field(ge=1)] = 100_000

    @property
    def level(self) -> Level:
        """The assurance a login reaches."""
        return Level[self.assurance]


class SessionSettings(_Group):
    """Login sessions."""

    idle_lifetime: Seconds = 12 * 3600
    absolute_lifetime: Seconds = 7 * 86400
    #: Also hand the session's token to the desktop's script and accept ``Authorization: Bearer`` (the page's own way).
    bearer: bool = False


class LimitSettings(_Group):
    """Requests per minute; each limit lets half a minute's worth through at once."""

    per_ip: Annotated[int, Field(ge=1)] = 120
    per_account: Annotated[int, Field(ge=1)] = 60
    per_key: Annotated[int, Field(ge=1)] = 30


class SSESettings(_Group):
    """Server-sent events."""

    heartbeat: Annotated[float, Field(ge=1, le=120)] = 15
    #: Base of the client's reconnection delay, in seconds; up to as much again is added by chance.
    retry: Annotated[float, Field(ge=0.1, le=60)] = 2
    #: Who writes the streams: we, or ``EventSourceResponse`` for hosts that standardised on it.
    responder: Literal["own", "sse-starlette"] = "own"


class Settings(BaseSettings):
    """Everything an operator can decide."""

    model_config = SettingsConfigDict(
        env_prefix="USEID_", env_nested_delimiter="__", frozen=True, extra="forbid", validate_default=True
    )

    app_name: Annotated[str, Field(min_length=1, max_length=60)] = "This application"
    #: Further names that ``session/create`` may ask the phone to show.
    app_names: tuple[str, ...] = ()
    #: The public origin. ``None``: whatever loopback host the request names, for development.
    origin: Origin | None = None
    prefix: Annotated[str, AfterValidator(_check_prefix)] = "/auth"
    #: Refuse everything that is for development only.
    production: bool = False
    #: Short-lived state: ``sqlite:///file``, ``redis://…``, ``memory://``.
    store: Annotated[
        str,
        _check_url(
            ("sqlite:///", "redis://", "rediss://", "unix://", "memory://"),
            "sqlite:///useid.db, redis://host:6379/0 or memory://",
        ),
    ] = "sqlite:///useid.db"
    #: Accounts: ``sqlite:///file``, ``postgresql://…``, ``memory://``.
    accounts: Annotated[
        str,
        _check_url(
            ("sqlite:///", "postgresql://", "memory://"),
            "sqlite:///useid.db, postgresql://user@host/database or memory://",
        ),
    ] = "sqlite:///useid.db"
    key_prefix: Annotated[str, Field(pattern=r"^[a-z0-9:_-]{0,40}$")] = "useid:"
    landing_page: str = "/"
    #: Besides our own origin, where a login may lead.
    redirect_origins: tuple[Origin, ...] = ()
    qr: QRSettings = QRSettings()
    sessions: SessionSettings = SessionSettings()
    limits: LimitSettings = LimitSettings()
    sse: SSESettings = SSESettings()

    def __init__(self, *, from_env: bool = True, config_file: str | Path | None = None, **values: Any) -> None:
        try:
            super().__init__(from_env=from_env, config_file=config_file, **values)
        except ValidationError as error:
            raise ConfigurationError(_explain(error)) from None
        except (tomllib.TOMLDecodeError, OSError, SettingsError) as error:
            raise ConfigurationError(f"the configuration cannot be read: {error}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Keywords, then environment, then the TOML file; no .env files and no secret directories."""
        assert isinstance(init_settings, InitSettingsSource)
        config_file = init_settings.init_kwargs.pop("config_file", None)
        if not init_settings.init_kwargs.pop("from_env", True):
            return (init_settings,)
        config_file = config_file or os.environ.get("USEID_CONFIG")
        if config_file is None:
            return (init_settings, env_settings)
        if not Path(config_file).is_file():
            raise FileNotFoundError(f"{config_file}: no such file; correct config_file or USEID_CONFIG")
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=config_file))

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if not self.landing_page.startswith("/") or self.landing_page.startswith("//"):
            raise ValueError("landing_page must be a path of this site, such as /")
        if self.production:
            if self.origin is None or not self.origin.startswith("https://"):
                raise ValueError(
                    "origin must be set to the public https origin in production, such as https://app.example"
                )
            if "memory://" in (self.store, self.accounts):
                raise ValueError(
                    "store and accounts must not be memory:// in production;"
                    " use sqlite:///… or redis://…, postgresql://…"
                )
        return self

    def warnings(self) -> list[str]:
        """What is allowed and yet unsafe, one sentence each; empty when there is nothing to say."""
        found = []
        if not self.production:
            found.append("production is off: development parts are allowed; set production = true when you deploy")
        if self.origin is None:
            found.append("origin is not set: only loopback hosts are answered; set it to the public https origin")
        elif self.origin.startswith("http://"):
            found.append("origin is plain http: cookies carry no Secure flag")
        if "memory://" in (self.store, self.accounts):
            found.append("memory:// forgets everything at a restart and serves one process alone")
        if self.qr.enabled and self.qr.assurance == "L0":
            found.append("qr.assurance is L0: a QR code relayed by a phishing page can log the attacker in; prefer L1")
        if self.sessions.bearer:
            found.append("sessions.bearer hands the session to scripts: any script injection on the page can copy it")
        return found


def _explain(error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        key = ".".join(str(part) for part in item["loc"])
        problem = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            problem = "no such setting; see docs/reference/settings.md"
        variable = "USEID_" + key.upper().replace(".", "__")
        lines.append(f"{key} ({variable}): {problem}" if key else problem)
    return "; ".join(lines)
