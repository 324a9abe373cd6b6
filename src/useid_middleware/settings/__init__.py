"""All settings: typed, frozen, checked when built.

From keywords (``Settings(app_name="Shop")``), from ``USEID_…`` environment variables (nested with two underscores:
``USEID_QR__LIFETIME=120``) and from a TOML file (``Settings(config_file="useid.toml")`` or ``USEID_CONFIG``); keywords
win over the environment, the environment over the file. A wrong setting raises one
:class:`~..errors.ConfigurationError` that names every wrong key and its remedy. ``from_env=False`` ignores environment
and file (tests).
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from ..errors import ConfigurationError
from .eid import EIDSettings as EIDSettings
from .eid import EmbedSettings as EmbedSettings
from .eid import Tenant as Tenant
from .groups import LimitSettings as LimitSettings
from .groups import PathSettings as PathSettings
from .groups import QRSettings as QRSettings
from .groups import SessionSettings as SessionSettings
from .groups import SSESettings as SSESettings
from .monitoring import AuditSettings as AuditSettings
from .monitoring import LogSettings as LogSettings
from .monitoring import MetricsSettings as MetricsSettings
from .network import NetworkSettings as NetworkSettings
from .oidc import OIDCProvider as OIDCProvider
from .oidc import OIDCSettings as OIDCSettings
from .values import Origin, PagePath, SitePath, check_prefix, check_url
from .values import check_origin as check_origin
from .values import is_loopback as is_loopback
from .webauthn import WebAuthnSettings as WebAuthnSettings


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
    prefix: Annotated[str, AfterValidator(check_prefix)] = "/auth"
    #: Refuse everything that is for development only.
    production: bool = False
    #: Short-lived state: ``sqlite:///file``, ``redis://…`` (also ``redis+sentinel://``, ``redis+cluster://``), ``memory://``.
    store: Annotated[
        str,
        check_url(
            (
                *("sqlite:///", "memory://", "unix://"),
                *("redis://", "redis+sentinel://", "redis+cluster://"),
                *("rediss://", "rediss+sentinel://", "rediss+cluster://"),
            ),
            "sqlite:///useid.db, redis://host:6379/0 or memory://",
        ),
    ] = "sqlite:///useid.db"
    #: Accounts: ``sqlite:///file``, ``postgresql://…``, ``memory://``.
    accounts: Annotated[
        str,
        check_url(
            ("sqlite:///", "postgresql://", "memory://"),
            "sqlite:///useid.db, postgresql://user@host/database or memory://",
        ),
    ] = "sqlite:///useid.db"
    key_prefix: Annotated[str, Field(pattern=r"^[a-z0-9:_-]{0,40}$")] = "useid:"
    landing_page: SitePath = "/"
    #: Pages below these paths of the host app send whoever is not logged in to the login.
    protected: tuple[PagePath, ...] = ()
    #: Pages below these paths demand a level: whose session has less is asked to prove more.
    levels: dict[PagePath, Literal["L0", "L1", "L2", "L3"]] = Field(default_factory=dict)
    #: Besides our own origin, where a login may lead.
    redirect_origins: tuple[Origin, ...] = ()
    qr: QRSettings = QRSettings()
    sessions: SessionSettings = SessionSettings()
    limits: LimitSettings = LimitSettings()
    sse: SSESettings = SSESettings()
    network: NetworkSettings = NetworkSettings()
    oidc: OIDCSettings = OIDCSettings()
    eid: EIDSettings = EIDSettings()
    embed: EmbedSettings = EmbedSettings()
    webauthn: WebAuthnSettings = WebAuthnSettings()
    paths: PathSettings = PathSettings()
    audit: AuditSettings = AuditSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

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
        served = [path for path in (*self.paths.model_dump().values(), self.metrics.path) if path]
        if len(set(served)) != len(served):
            raise ValueError("paths must differ from each other; switch one off with an empty path")
        if self.binds and not self.webauthn.enabled:
            raise ValueError(
                "webauthn.enabled must be true for logins that WebAuthn binds: qr.assurance L2, client bound"
            )
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
            if self.metrics.path and self.metrics.token is None and not self.metrics.allow_loopback_without_token:
                raise ValueError(
                    "metrics.token must be set in production; to answer whoever asks from this machine, also past a"
                    " proxy that adds no header, set metrics.allow_loopback_without_token"
                )
            if self.eid.server == "embedded":
                raise ValueError("eid.server must not be embedded in production: it is for development and test alone")
            for name, provider in self.oidc.providers.items():
                if is_loopback(urlsplit(provider.issuer).hostname or ""):
                    raise ValueError(
                        f"oidc.providers.{name}.issuer must not be this machine in production:"
                        " the development provider is for development alone"
                    )
        return self

    @property
    def binds(self) -> bool:
        """Whether some login must be bound by WebAuthn."""
        by_qr = self.qr.enabled and self.qr.assurance == "L2"
        return by_qr or "bound" in (self.eid.client, *(tenant.client for tenant in self.embed.tenants.values()))

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
        for name, provider in self.oidc.providers.items():
            found += [f"oidc.providers.{name}: {warning}" for warning in provider.warnings()]
        if self.eid.client == "integrated":
            found.append("eid.client is integrated: who relays a QR code to a victim gets in; prefer bound")
        if self.webauthn.enabled and self.webauthn.attestation == "none" and self.webauthn.trust_anchors:
            found.append("webauthn.trust_anchors are not asked for: webauthn.attestation is none")
        if self.webauthn.metadata_roots and self.webauthn.metadata_blob is None:
            found.append("webauthn.metadata_roots sign nothing: webauthn.metadata_blob is not set")
        if self.metrics.path and self.metrics.token is None:
            found.append("metrics.token is not set: whoever asks from this machine, past every proxy, sees the metrics")
        if self.audit.file is not None and self.audit.on_error == "log":
            found.append("audit.on_error is log: people log in while the audit log cannot be written")
        if self.eid.server == "embedded":
            found.append("eid.server is embedded: emulated ID cards log in; it is for development and test alone")
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
