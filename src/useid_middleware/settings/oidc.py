"""Settings of OpenID Connect: the providers, and what holds for all of them."""

from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from ..identity import Level
from .values import Group, Issuer, Path, Seconds, SitePath

ClientAuthentication = Literal[
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "none",
]
#: Asymmetric signatures; HS256 and its like must be named, and ``none`` cannot be.
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
    "HS256", "HS384", "HS512",
]  # fmt: skip
_ASYMMETRIC: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "RS384", "RS512")
_FAPI: tuple[Algorithm, ...] = ("PS256", "ES256", "EdDSA", "Ed25519")
ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


class OIDCProvider(Group):
    """One OpenID provider, and what we are to it."""

    #: Where the provider is reached; also its name, unless ``public_issuer`` says otherwise.
    issuer: Issuer
    #: The name that its tokens carry and browsers reach, where we reach it under another one (containers).
    public_issuer: Issuer | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=1000)]
    client_secret: SecretStr | None = None
    client_authentication: ClientAuthentication = "client_secret_basic"
    #: What the button says; the provider's name in these settings where empty.
    label: Annotated[str, Field(max_length=60)] = ""
    #: Our private keys, a JWK Set or PEM: for private_key_jwt, request objects, and tokens encrypted for us.
    private_keys: FilePath | None = None
    tls_certificate: FilePath | None = None
    tls_key: FilePath | None = None
    #: Certificate authorities to trust for this provider, in the system's place.
    ca_file: FilePath | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    response_type: Literal["code", "code id_token"] = "code"
    response_mode: Literal["", "query", "form_post", "jwt", "query.jwt", "form_post.jwt"] = ""
    #: Below the prefix. By default ``paths.callback``, followed by the provider's name where there are several.
    callback_path: Path = ""
    #: A FAPI 2.0 profile, and with it everything that it demands.
    profile: Literal["", "fapi2", "fapi2-message-signing"] = ""
    pushed_authorization: Literal["auto", "always", "never"] = "auto"
    request_object: Literal["never", "value", "reference"] = "never"
    dpop: bool = False
    algorithms: tuple[Algorithm, ...] = _ASYMMETRIC
    userinfo: Literal["auto", "always", "never"] = "auto"
    #: Refuse a userinfo answer that is not signed.
    userinfo_signed: bool = False
    max_age: Annotated[int, Field(ge=0)] | None = None
    acr_values: tuple[str, ...] = ()
    #: Refuse a login that does not reach one of ``acr_values``.
    acr_required: bool = False
    prompt: Literal["", "login", "consent", "select_account"] = ""
    ui_locales: str = ""
    #: Further parameters of the authorization request.
    parameters: dict[str, str] = Field(default_factory=dict)
    #: Other audiences that an ID token for us may also name.
    trusted_audiences: tuple[str, ...] = ()
    #: Refuse accounts whose e-mail address the provider did not verify.
    verified_email_only: bool = False
    username_claim: str = "preferred_username"
    #: Where the roles are, with dots between the members: ``realm_access.roles``. Empty: the provider gives none.
    roles_claim: str = ""
    #: The assurance that an ``acr`` of this provider stands for; L0 where it is not listed.
    levels: dict[str, Literal["L0", "L1", "L2", "L3"]] = Field(default_factory=dict)
    #: Issuers of aggregated and distributed claims that are believed.
    claims_providers: tuple[Issuer, ...] = ()
    #: The provider's metadata and keys, where they are not to be fetched.
    metadata: dict[str, Any] | None = None
    jwks: dict[str, Any] | None = None

    @property
    def expected_issuer(self) -> str:
        """The ``iss`` of everything that this provider says."""
        return self.public_issuer or self.issuer

    @property
    def uses_jarm(self) -> bool:
        """Whether authorization responses come as one signed token."""
        return self.response_mode.endswith("jwt")

    @property
    def requires_issuer(self) -> bool:
        """Whether a callback without ``iss`` is refused whatever the metadata says."""
        return self.profile != ""

    def warnings(self) -> list[str]:
        """What is allowed and yet unsafe, or weaker than it need be."""
        found = []
        if self.issuer.startswith("http://"):
            found.append("the issuer is plain http on this machine: for development")
        if any(algorithm.startswith("HS") for algorithm in self.algorithms):
            found.append("algorithms allow HS256 and its like: whoever knows client_secret can make ID tokens")
        if self.client_authentication == "none":
            found.append("client_authentication is none: PKCE alone binds the code to us; prefer private_key_jwt")
        if self.trusted_audiences:
            found.append("trusted_audiences: ID tokens that were made for several audiences are accepted")
        return found

    def level(self, acr: str) -> Level:
        """The assurance of a login with this ``acr``."""
        return Level[self.levels.get(acr, "L0")]

    @model_validator(mode="before")
    @classmethod
    def _presume(cls, values: Any) -> Any:
        """What a FAPI profile decides need not be said; what is said against it is refused below."""
        profile = values.get("profile") if isinstance(values, dict) else None
        if not profile:
            return values
        presumed = {"pushed_authorization": "always", "algorithms": _FAPI, "client_authentication": "private_key_jwt"}
        if profile == "fapi2-message-signing":
            presumed |= {"request_object": "value", "response_mode": "jwt"}
        return presumed | values

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        method = self.client_authentication
        if method.startswith("client_secret") and self.client_secret is None:
            raise ValueError(
                f"client_secret must be set for {method}; a public client sets client_authentication = none"
            )
        if method == "private_key_jwt" and self.private_keys is None:
            raise ValueError("private_keys must be set for private_key_jwt; useid oidc keys makes a file")
        if "tls_client_auth" in method and (self.tls_certificate is None or self.tls_key is None):
            raise ValueError(f"tls_certificate and tls_key must be set for {method}")
        if self.request_object != "never" and self.private_keys is None:
            raise ValueError("private_keys must be set where request objects are signed")
        if "openid" not in self.scopes:
            raise ValueError("scopes must contain openid")
        if self.acr_required and not self.acr_values:
            raise ValueError("acr_values must be set where acr_required is")
        if self.profile:
            self._check_fapi()
        return self

    def _check_fapi(self) -> None:
        """FAPI 2.0 Security Profile §5.3.3 and Message Signing §5.3.2, §5.4.2: what the settings decide."""
        method = self.client_authentication
        if method not in ("private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"):
            raise ValueError("client_authentication must be private_key_jwt or mutual TLS under a FAPI 2.0 profile")
        if not self.dpop and self.tls_certificate is None:
            raise ValueError("dpop must be true under a FAPI 2.0 profile, or tls_certificate be set")
        if self.response_type != "code" or self.pushed_authorization != "always":
            raise ValueError("a FAPI 2.0 profile needs response_type = code and pushed_authorization = always")
        if not set(self.algorithms) <= set(_FAPI):
            raise ValueError(f"algorithms must be among {', '.join(_FAPI)} under a FAPI 2.0 profile")
        if self.profile == "fapi2-message-signing" and (self.request_object != "value" or not self.uses_jarm):
            raise ValueError("fapi2-message-signing needs request_object = value and a response_mode that ends in jwt")


class OIDCSettings(Group):
    """OpenID Connect."""

    providers: dict[ProviderName, OIDCProvider] = Field(default_factory=dict)
    #: The login page goes straight to this provider instead of offering a choice.
    default_provider: str = ""
    #: A login must come back from the provider within this; so many may be under way in one browser.
    attempt_lifetime: Annotated[float, Field(ge=30, le=3600)] = 300
    attempt_slots: Annotated[int, Field(ge=1, le=50)] = 8
    #: How far a provider's clock may be off.
    skew: Annotated[float, Field(ge=0, le=300)] = 30
    #: An access token is renewed so long before it expires.
    refresh_ahead: Annotated[float, Field(ge=0, le=3600)] = 60
    #: Metadata and keys are fetched again after this; at most so often for an unknown key; and kept so long when the
    #: provider does not answer.
    metadata_lifetime: Seconds = 3600
    keys_cooldown: Annotated[float, Field(ge=1, le=3600)] = 30
    stale_lifetime: Seconds = 86400
    #: For one request to a provider.
    timeout: Annotated[float, Field(gt=0, le=60)] = 10
    #: Where a person goes who logged in for the first time, and everybody else; empty: where they wanted to go.
    new_user_page: SitePath | Literal[""] = ""
    existing_user_page: SitePath | Literal[""] = ""
    #: Where a logout leads; empty: the landing page.
    after_logout: SitePath | Literal[""] = ""
    #: A logout at the provider also ends the sessions of phones and passkeys of the same account.
    logout_derived_sessions: bool = True
    #: Time between two looks at the provider's session.
    check_session_interval: Annotated[float, Field(ge=1, le=600)] = 10
    #: Domains whose people may begin with their address (WebFinger).
    webfinger_domains: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.default_provider and self.default_provider not in self.providers:
            raise ValueError("default_provider must be the name of one of the providers")
        issuers = [provider.expected_issuer for provider in self.providers.values()]
        if len(set(issuers)) != len(issuers):
            raise ValueError("providers must have different issuers")
        paths = [provider.callback_path for provider in self.providers.values() if provider.callback_path]
        if len(set(paths)) != len(paths):
            raise ValueError("providers must have different callback paths")
        return self
