"""Us, as authenticators and browsers know us: rp id, name, and the origins that may speak for it."""

import re
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from fido2.rpid import verify_rp_id

from ...errors import ConfigurationError

#: Origins of native apps, as Android and iOS write them: no domain stands in them, so each is allowed by its name.
_NATIVE: Final = re.compile(r"android:apk-key-hash:[A-Za-z0-9_-]{43}|ios:bundle-id:[A-Za-z0-9.-]{1,155}").fullmatch
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_DOMAIN: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*").fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class RelyingParty:
    """The relying party (WebAuthn Level 3 §5.4.2, §13.4.9). Wrong and dangerous settings do not make one.

    ``origins`` are compared to the letter. ``accepts_cross_origin`` lets a frame of ours be used inside other sites;
    where the browser names such a site, it must be one of ``top_origins``. Raises ``ConfigurationError``.
    """

    id: str
    name: str
    origins: frozenset[str]
    top_origins: frozenset[str] = frozenset()
    accepts_cross_origin: bool = False
    #: SHA-256 of the rp id, as authenticator data carry it.
    id_hash: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what no browser would take, and what would let others in."""
        _check_id(self.id)
        object.__setattr__(self, "id_hash", sha256(self.id.encode()).digest())
        if not self.name:
            raise ConfigurationError("webauthn: the relying party needs a name, which people are shown")
        if not self.origins:
            raise ConfigurationError("webauthn: origins must name the pages that may use credentials; it is empty")
        for origin in self.origins:
            if not _NATIVE(origin):
                _check_origin(origin, "origins")
                if not verify_rp_id(self.id, origin):
                    raise ConfigurationError(f"webauthn: the rp id {self.id} must be a suffix of the host of {origin}")
        if self.top_origins and not self.accepts_cross_origin:
            raise ConfigurationError("webauthn: top_origins are named, but frames in other sites are not accepted")
        for origin in self.top_origins:
            _check_origin(origin, "top_origins")


def _check_id(rp_id: str) -> None:
    try:
        ip_address(rp_id.strip("[]"))
    except ValueError:
        pass
    else:
        raise ConfigurationError("webauthn: the rp id must be a domain; browsers refuse an IP address")
    if not _DOMAIN(rp_id) or len(rp_id) > 253:
        raise ConfigurationError("webauthn: the rp id must be a domain in lower case (punycode), such as login.example")
    # A public suffix belongs to nobody: whoever has a domain below it could ask for our credentials.
    if not verify_rp_id(rp_id, f"https://a.{rp_id}"):
        raise ConfigurationError(f"webauthn: the rp id {rp_id} is a public suffix; take your domain below it")


def _check_origin(origin: str, setting: str) -> None:
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        raise ConfigurationError(f"webauthn: {setting}: {origin} must be an origin") from None
    host = parts.hostname or ""
    plain = parts.scheme == "http" and (host == "localhost" or host.endswith(".localhost"))
    if parts.scheme != "https" and not plain:
        raise ConfigurationError(f"webauthn: {setting}: {origin} must be https; http is for localhost only")
    # A browser writes an origin in one way only, so that any other would match nothing.
    written = f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, _DEFAULT_PORTS[parts.scheme]) else "")
    if not _DOMAIN(host) or written != origin:
        raise ConfigurationError(f"webauthn: {setting}: {origin} must be an origin, such as https://login.example")
