"""The tcToken: how an eService tells an eID client where to go (TR-03124-1 §2.3, TCTokenType of TR-03112-7)."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from ..._xml import XMLError, child, local_name, parse_xml, text
from ...errors import RequestError

#: What an eID client listens to on the same machine, and what a phone opens it by (TR-03124-1 §2.2.1).
LOOPBACK_CLIENT: Final = "http://127.0.0.1:24727/eID-Client"
CLIENT: Final = "eid://127.0.0.1:24727/eID-Client"

PAOS_BINDING: Final = "urn:liberty:paos:2006-08"
#: TLS with a pre-shared key (RFC 4279), where the eID server is not the server of the tcToken.
PATH_SECURITY: Final = "urn:ietf:rfc:4279"
_MAX_SIZE: Final = 16 * 1024
_NAMES: Final = {
    "ServerAddress": "server_address",
    "SessionIdentifier": "session_identifier",
    "RefreshAddress": "refresh_address",
    "CommunicationErrorAddress": "communication_error_address",
    "Binding": "binding",
    "PathSecurity-Protocol": "path_security",
}


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
    return "\n".join((*lines, "</TCTokenType>", "")).encode()


def parse_tctoken(data: bytes) -> TCToken:
    """The tcToken in this XML; ``tctoken_malformed`` for anything else.

    Its elements have no namespace. Addresses are not judged here.
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
        token = TCToken(**found, psk=bytes.fromhex(text(psk)) if psk is not None else b"")
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


def _element(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>"


def _malformed(problem: str) -> RequestError:
    return RequestError("tctoken_malformed", f"tcToken: {problem}")
