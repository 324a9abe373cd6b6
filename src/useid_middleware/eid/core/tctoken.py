"""The tcToken: how an eService tells an eID client where to go (TR-03124-1 §2.3, TCTokenType of TR-03112-7).

An element of ours in it vouches for the WebAuthn server that binds the login to the browser that waits for it::

    <w:WebAuthnServer xmlns:w="urn:useid-middleware:webauthn:1">
      <w:Domain>…</w:Domain>              host, with :port unless that is 443
      <w:SPKI-SHA256>…</w:SPKI-SHA256>    base64url; one for each key that its TLS certificate may have
    </w:WebAuthnServer>
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit
from xml.sax.saxutils import escape

from ..._codec import DecodeError, b64url, un_b64url
from ..._xml import Element, XMLError, child, children, local_name, parse_xml, text
from ...errors import RequestError

#: What an eID client listens to on the same machine, and what a phone opens it by (TR-03124-1 §2.2.1).
LOOPBACK_CLIENT: Final = "http://127.0.0.1:24727/eID-Client"
CLIENT: Final = "eid://127.0.0.1:24727/eID-Client"

PAOS_BINDING: Final = "urn:liberty:paos:2006-08"
#: TLS with a pre-shared key (RFC 4279), where the eID server is not the server of the tcToken.
PATH_SECURITY: Final = "urn:ietf:rfc:4279"
#: The namespace of our element.
WEBAUTHN: Final = "urn:useid-middleware:webauthn:1"
_MAX_SIZE: Final = 16 * 1024
_HASH_SIZE: Final = 32
_HTTPS: Final = 443
_PORTS: Final = {"https": _HTTPS, "http": 80}
#: A host in the one spelling that browsers have for it, and a port that is not the one of https.
_DOMAIN: Final = re.compile(
    r"((?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*|\[[0-9a-f:.]{2,45}\])(?!:443$)(:[1-9][0-9]{0,4})?"
).fullmatch
_NAMES: Final = {
    "ServerAddress": "server_address",
    "SessionIdentifier": "session_identifier",
    "RefreshAddress": "refresh_address",
    "CommunicationErrorAddress": "communication_error_address",
    "Binding": "binding",
    "PathSecurity-Protocol": "path_security",
}


@dataclass(frozen=True, slots=True)
class WebAuthnServer:
    """The WebAuthn server that an eService vouches for; ``domain`` is as :func:`domain_of` says it.

    ``key_hashes`` are SHA-256 of the SubjectPublicKeyInfo of its TLS certificates, 32 bytes each: of the next one as
    well as of the present, and none where there is no TLS (http on loopback, for development).
    """

    domain: str
    key_hashes: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class TCToken:
    """A tcToken. ``psk`` is raw bytes, empty where eService and eID server are one (attached).

    One with nothing but ``communication_error_address`` says that there is no session.
    """

    server_address: str = ""
    session_identifier: str = field(default="", repr=False)
    refresh_address: str = field(default="", repr=False)
    communication_error_address: str = field(default="", repr=False)
    binding: str = PAOS_BINDING
    path_security: str = ""
    psk: bytes = field(default=b"", repr=False)
    webauthn_server: WebAuthnServer | None = None

    @property
    def is_error(self) -> bool:
        """Whether it says that there is no session."""
        return not self.server_address


def build_tctoken(token: TCToken) -> bytes:
    """The tcToken as XML."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<TCTokenType>"]
    if token.is_error:
        lines.append(_element("CommunicationErrorAddress", token.communication_error_address))
    else:
        lines += (
            _element(name, value)
            for name, member in _NAMES.items()
            if (value := getattr(token, member)) or name in ("ServerAddress", "SessionIdentifier", "RefreshAddress")
        )
        if token.psk:
            lines.append(
                f"<PathSecurity-Parameters>{_element('PSK', token.psk.hex().upper())}</PathSecurity-Parameters>"
            )
        if token.webauthn_server is not None:
            lines.append(_webauthn_element(token.webauthn_server))
    return "\n".join((*lines, "</TCTokenType>", "")).encode()


def parse_tctoken(data: bytes) -> TCToken:
    """The tcToken in this XML; ``tctoken_malformed`` for anything else.

    Its elements have no namespace, but for ours. Addresses are not judged here.
    """
    try:
        root = parse_xml(data, max_size=_MAX_SIZE)
        if local_name(root) != "TCTokenType":
            raise XMLError("expected TCTokenType")
        found = {
            member: text(element)
            for name, member in _NAMES.items()
            if (element := child(root, name, ns="")) is not None
        }
        parameters = child(root, "PathSecurity-Parameters", ns="")
        psk = child(parameters, "PSK", ns="") if parameters is not None else None
        binder = child(root, "WebAuthnServer", ns=WEBAUTHN)
        token = TCToken(
            **found,
            psk=bytes.fromhex(text(psk)) if psk is not None else b"",
            webauthn_server=_read_webauthn_server(binder) if binder is not None else None,
        )
    except ValueError as error:
        raise _malformed(
            str(error) if isinstance(error, XMLError) else "expected a PSK of hexadecimal digits"
        ) from None
    complete = token.server_address and token.session_identifier and token.refresh_address
    if not complete and (token.server_address or token.session_identifier or not token.communication_error_address):
        raise _malformed("expected ServerAddress, SessionIdentifier and RefreshAddress")
    if token.binding != PAOS_BINDING:
        raise _malformed(f"expected the binding {PAOS_BINDING}")
    return token


def client_url(tc_token_url: str, *, client: str = CLIENT) -> str:
    """What starts an eID client with this tcToken."""
    return f"{client}?tcTokenURL={quote(tc_token_url, safe='')}"


def domain_of(address: str) -> str:
    """Host and port of a web address, as :attr:`WebAuthnServer.domain` has them; ``ValueError`` if it has no host."""
    parts = urlsplit(address)
    host, port = parts.hostname, parts.port if parts.port is not None else _PORTS.get(parts.scheme)
    if not host or port is None:
        raise ValueError("expected a web address")
    host = f"[{host}]" if ":" in host else host
    return host if port == _HTTPS else f"{host}:{port}"


def _webauthn_element(server: WebAuthnServer) -> str:
    lines = (
        f'<w:WebAuthnServer xmlns:w="{WEBAUTHN}">',
        _element("w:Domain", server.domain),
        *(_element("w:SPKI-SHA256", b64url(each)) for each in server.key_hashes),
        "</w:WebAuthnServer>",
    )
    return "".join(lines)


def _read_webauthn_server(element: Element) -> WebAuthnServer:
    """Strict, unlike what is around it: whom we believe hangs on each element, and all of them are ours."""
    domains, hashes = (children(element, name, ns=WEBAUTHN) for name in ("Domain", "SPKI-SHA256"))
    texts = (element.text, *(each.tail for each in element))
    if len(domains) != 1 or len(element) != 1 + len(hashes) or any(each and not each.isspace() for each in texts):
        raise XMLError("WebAuthnServer: expected one Domain, and SPKI-SHA256 any number of times")
    domain = text(domains[0])
    if not _DOMAIN(domain):
        raise XMLError("Domain: expected a host, with its port unless that is 443")
    try:
        return WebAuthnServer(domain, tuple(un_b64url(text(each), _HASH_SIZE) for each in hashes))
    except DecodeError:
        raise XMLError("SPKI-SHA256: expected 43 characters of base64url") from None


def _element(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>"


def _malformed(problem: str) -> RequestError:
    return RequestError("tctoken_malformed", f"tcToken: {problem}")
