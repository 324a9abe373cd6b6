"""The settings of the eID login, and of the pages of other sites that embed the widget."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, model_validator

from .values import Group, Origin, Seconds, is_loopback

#: The operations of TR-03130-1 §3.2 that are answered with a datum.
Attribute = Literal[
    "DocumentType",
    "IssuingState",
    "DateOfExpiry",
    "GivenNames",
    "FamilyNames",
    "ArtisticName",
    "AcademicTitle",
    "DateOfBirth",
    "PlaceOfBirth",
    "Nationality",
    "BirthName",
    "PlaceOfResidence",
    "CommunityID",
    "ResidencePermitI",
    "RestrictedID",
]


def _check_server(server: str) -> str:
    parts = _parts(server)
    if server in ("", "embedded"):
        return server
    if parts is None or parts.scheme != "https":
        raise ValueError('must be the https URL of an eID server\'s SOAP interface, "embedded", or empty for none')
    return server


def _check_https(url: str) -> str:
    parts = _parts(url)
    plain = parts is not None and parts.scheme == "http" and is_loopback(parts.hostname or "")
    if parts is None or (parts.scheme != "https" and not plain):
        raise ValueError(
            "must be an https URL in plain spelling, without user and fragment, such as https://shop.example/eid/tctoken"
        )
    return url


def _check_https_or_empty(url: str) -> str:
    return _check_https(url) if url else url


def _parts(url: str) -> SplitResult | None:
    """The URL's parts, if it has a host and the one spelling that programs do not read differently."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    odd = not url.isascii() or not url.isprintable() or " " in url or "\\" in url or "#" in url or "/.." in parts.path
    return None if odd or not parts.hostname or "@" in parts.netloc or parts.netloc != parts.netloc.lower() else parts


HTTPSURL = Annotated[str, AfterValidator(_check_https)]
OptionalHTTPSURL = Annotated[str, AfterValidator(_check_https_or_empty)]


class EIDSettings(Group):
    """The login with an ID card."""

    #: The SOAP interface of an eID server, ``embedded`` for the one that comes with the package, empty for no eID.
    server: Annotated[str, AfterValidator(_check_server)] = ""
    #: Our certificate and key towards the eID server (mutual TLS), and who signs its TLS certificate.
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    ca_file: Path | None = None
    #: What we sign our messages with (WS-Security), and the certificate that the eID server signs its own with.
    signing_certificate: Path | None = None
    signing_key: Path | None = None
    server_signing_certificate: Path | None = None
    #: Where eID clients reach the eID server, unless it says so itself.
    paos_address: OptionalHTTPSURL = ""
    #: The eID server is reached at our own origin by ordinary TLS, so that clients need no pre-shared key for it.
    attached: bool = False
    #: For one request to the eID server.
    timeout: Annotated[float, Field(gt=0, le=60)] = 10
    #: What must be told, and what the user may take away. The pseudonym is always asked for: it finds the account.
    required: tuple[Attribute, ...] = ("RestrictedID",)
    optional: tuple[Attribute, ...] = ()
    #: Ask whether somebody is at least so old (years), or lives in this community (hexadecimal digits, or the
    #: beginning); a login that does not fulfil it is refused.
    age: Annotated[int, Field(ge=1, le=150)] | None = None
    community_id: Annotated[str, Field(pattern=r"^([0-9a-fA-F]{2}){0,32}$")] = ""
    #: Shown to the user by the eID client.
    transaction_info: Annotated[str, Field(max_length=250)] = ""
    level_of_assurance: Literal["", "undefined", "normal", "substantiell", "hoch"] = ""
    #: What the session keeps of the attributes, sealed under its cookie, and for how long; the rest is forgotten when
    #: the login is complete.
    keep: tuple[Attribute, ...] = ()
    keep_lifetime: Seconds = 3600
    #: What becomes the name of a new account; empty: none of the attributes.
    username: Literal["", "GivenNames", "FamilyNames", "ArtisticName"] = ""
    #: The phone's eID client: a stock one, or one that knows the widget; ``bound``: one that knows it, and the browser
    #: proves by WebAuthn that the phone is at hand. With ``bound`` a login by another device has no other way.
    client: Literal["standard", "integrated", "bound"] = "standard"
    #: What our tcTokens say of the WebAuthn server that binds: its origin, empty for our own, and PEM files of its TLS
    #: certificates or public keys, the next ones as well as the present.
    webauthn_server: OptionalHTTPSURL = ""
    webauthn_server_keys: tuple[Path, ...] = ()
    #: A login that nobody began on the phone ends after this; one that was begun, after the other; an approved one
    #: must be claimed (and its code typed) within the third.
    lifetime: Seconds = 300
    client_lifetime: Seconds = 300
    claim_lifetime: Seconds = 120
    #: At most this many logins are waiting at once, over all processes that share the store.
    waiting_limit: Annotated[int, Field(ge=1)] = 100_000
    #: Of the embedded eID server: its test PKI (``useid pki init``), and our TLS certificate as eID clients see it.
    pki: Path = Path("useid-pki")
    server_tls_certificate: Path | None = None
    #: Of the embedded eID server: so many sessions at once; a dialogue that pauses so long has failed; certificates
    #: (PEM) of the eServices that may use its SOAP interface.
    max_sessions: Annotated[int, Field(ge=1)] = 1000
    session_lifetime: Seconds = 300
    soap_clients: tuple[Path, ...] = ()

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if "RestrictedID" not in self.required:
            raise ValueError("required must contain RestrictedID: the pseudonym finds the account")
        asked = (*self.required, *self.optional)
        if len(set(asked)) != len(asked):
            raise ValueError("required and optional must name each attribute once")
        for name, attributes in (("keep", self.keep), ("username", (self.username,) if self.username else ())):
            if not set(attributes) <= set(asked):
                raise ValueError(f"{name} must be among the attributes that are required or optional")
        if self.server not in ("", "embedded"):
            missing = [
                name
                for name in (
                    *("tls_certificate", "tls_key", "signing_certificate", "signing_key"),
                    "server_signing_certificate",
                )
                if getattr(self, name) is None
            ]
            if missing:
                raise ValueError(f"{', '.join(missing)} must be set for an eID server's SOAP interface")
        return self


class Tenant(Group):
    """A site whose pages may embed the widget for an eID integration of its own."""

    #: The origins whose pages may frame the widget.
    origins: Annotated[tuple[Origin, ...], Field(min_length=1)]
    #: Where its tcTokenURLs may begin (``https://shop.example/eid/``); the first is used where the page names none.
    token_urls: Annotated[tuple[HTTPSURL, ...], Field(min_length=1)]
    #: Where its refresh addresses may be; empty: at the origins.
    refresh_origins: tuple[Origin, ...] = ()
    #: How its logins by another device end: sealed, or sealed and bound by WebAuthn.
    client: Literal["integrated", "bound"] = "integrated"
    #: PEM files of the TLS certificates or public keys that its refresh origins have; before a bound login ends there,
    #: we look whether it is they. Empty: certificates that this machine's authorities vouch for.
    server_keys: tuple[Path, ...] = ()
    theme: Literal["auto", "light", "dark"] = "auto"
    #: Where the widget's way back leads, after a login that failed; empty for none.
    default_target: OptionalHTTPSURL = ""


class EmbedSettings(Group):
    """The widget in pages of other sites."""

    tenants: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")], Tenant] = Field(default_factory=dict)
