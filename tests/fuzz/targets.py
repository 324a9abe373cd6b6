"""Every parser of what comes from outside, as a function of bytes that may raise our own errors and nothing else."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.eid.signers import NOW as SIGNED_AT
from tests.eid.test_soap import SIGNER
from tests.eid.world import SECRET
from tests.emulation.card import world as card_world
from tests.fuzz.seeds import SESSION_ID, registered
from tests.webauthn.authenticator import Registering
from tests.webauthn.certificates import MOMENT, root
from useid_middleware._codec import DecodeError, b64url
from useid_middleware._xml import XMLError, canonicalize, parse_xml, serialize
from useid_middleware.eac import (
    apdu,
    auxiliary_data,
    card_security,
    certificate_description,
    chat,
    cvc,
    oids,
    security_info_parsing,
    tlv,
)
from useid_middleware.eac.curves import BRAINPOOL_P256R1, Point
from useid_middleware.eid.core.link import parse_link as parse_client_link
from useid_middleware.eid.core.requests import called_function, concerned_session, parse_request
from useid_middleware.eid.core.responses import (
    parse_get_result_response,
    parse_get_server_info_response,
    parse_use_id_response,
)
from useid_middleware.eid.core.sealing import NONCE_SIZE, open_refresh_url
from useid_middleware.eid.core.signing import VerifiedBody, verify_envelope
from useid_middleware.eid.core.tctoken import parse_tctoken
from useid_middleware.emulation import paos
from useid_middleware.emulation.server.data_groups import NUMBERS, declared_size, personal_data
from useid_middleware.emulation.server.names import session_in
from useid_middleware.errors import UseIDError
from useid_middleware.http.cookies import Cookie
from useid_middleware.http.redirects import check_redirect
from useid_middleware.http.requests import parse_pairs
from useid_middleware.oidc.core.callback import read_parameters
from useid_middleware.oidc.core.jose import claimed_issuer, verify_token
from useid_middleware.oidc.core.keys import KeySet
from useid_middleware.oidc.core.metadata import parse_metadata
from useid_middleware.oidc.core.strict_json import JSONRefused, read_object
from useid_middleware.oidc.core.tokens import parse_token_response
from useid_middleware.qr.core.link import parse_link
from useid_middleware.webauthn.core import cbor
from useid_middleware.webauthn.core.authenticator_data import parse_authenticator_data
from useid_middleware.webauthn.core.cose import CREDENTIAL_ALGORITHMS
from useid_middleware.webauthn.core.metadata import read_metadata
from useid_middleware.webauthn.core.response import read_authentication, read_registration

Target = Callable[[bytes], object]

_COOKIE: Final = Cookie("useid-session")


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _transmit(data: bytes) -> None:
    """A card takes any bytes for commands, one after the other, and answers each with at least a status word."""
    card = card_world.card()
    for command in data.split(b"\xff\xff")[:20]:
        assert len(card.transmit(command)) >= 2


def _xml(data: bytes) -> None:
    """What is read can be written again, in both forms."""
    element = parse_xml(data, max_size=1 << 20)
    assert serialize(parse_xml(serialize(element), max_size=1 << 21)) == serialize(element)
    assert canonicalize(element)


def _paos(data: bytes) -> None:
    """What is read is written so that it is read the same; who it belongs to is found in anything."""
    session_in(data)
    message = paos.decode(data)
    assert paos.decode(paos.encode(message)) == message


def _signed(data: bytes) -> VerifiedBody:
    """The body of a message, as if its sender had signed it."""
    return VerifiedBody(parse_xml(data, max_size=1 << 20), SIGNER.certificate, b"", 0.0)


def _soap_request(data: bytes) -> None:
    body = _signed(data)
    called_function(body)
    concerned_session(body)
    parse_request(body)


def _soap_response(data: bytes) -> None:
    body = _signed(data)
    for parse in (parse_use_id_response, parse_get_result_response, parse_get_server_info_response):
        with suppress(UseIDError):
            parse(body)


def _open_sealed(data: bytes) -> None:
    """Sealed text, and whatever else somebody with the secret has sealed."""
    inner = AESGCM(SECRET).encrypt(bytes(NONCE_SIZE), data, b"useid-refresh-v1\n" + SESSION_ID.encode())
    for sealed in (_text(data), b64url(bytes(NONCE_SIZE) + inner)):
        with suppress(UseIDError):
            open_refresh_url(sealed, secret=SECRET, session_id=SESSION_ID)


def _data_group(data: bytes) -> None:
    """The content of a file may be read as any data group that there is."""
    for operation in NUMBERS:
        with suppress(UseIDError):
            declared_size(data)
            personal_data({operation: data})


def _attestation(data: bytes) -> None:
    """An attestation object in a registration that is otherwise as it should be."""
    response: dict[str, Any] = {**registered()}
    response["response"] = {**response["response"], "attestationObject": b64url(data)}
    ceremony = Registering()
    ceremony.response = lambda: response  # type: ignore[method-assign]
    ceremony.run()


TARGETS: Final[Mapping[str, Target]] = {
    "tlv": tlv.parse_all,
    "apdu": apdu.Command.decode,
    "response": apdu.Response.decode,
    "oid": oids.decode_oid,
    "point": lambda data: Point.decode(BRAINPOOL_P256R1, data),
    "security-infos": security_info_parsing.parse_security_infos,
    "card-security": card_security.parse_card_security,
    "cv-certificate": cvc.parse_certificate,
    "certificate-description": certificate_description.parse_description,
    "chat": chat.CHAT.decode,
    "auxiliary-data": auxiliary_data.parse_auxiliary_data,
    "card": _transmit,
    "json": read_object,
    "jwks": KeySet.parse,
    "token": lambda data: verify_token(_text(data), KeySet(), algorithms=("RS256", "ES256"), name="id_token"),
    "claimed-issuer": lambda data: claimed_issuer(_text(data)),
    "metadata": lambda data: parse_metadata(data, expected_issuer="https://op.example"),
    "token-response": lambda data: parse_token_response(
        200, "application/json", data, now=0.0, expects_id_token=False, expected_token_type="Bearer"
    ),
    "callback": lambda data: read_parameters(parse_pairs(_text(data))),
    "cookie": lambda data: _COOKIE.read([(b"cookie", data)], secure=False),
    "redirect": lambda data: check_redirect(_text(data), origin="https://app.example"),
    "link": lambda data: parse_link(_text(data), scheme="tana"),
    "xml": _xml,
    "paos": _paos,
    "soap-request": _soap_request,
    "soap-response": _soap_response,
    "soap-signature": lambda data: verify_envelope(data, expected_certificates=(SIGNER.certificate,), now=SIGNED_AT),
    "tctoken": parse_tctoken,
    "client-link": lambda data: parse_client_link(_text(data)),
    "sealed-address": _open_sealed,
    "data-group": _data_group,
    "registration": lambda data: read_registration(read_object(data)),
    "authentication": lambda data: read_authentication(read_object(data)),
    "cbor": lambda data: cbor.decode(data, name="fuzz"),
    "authenticator-data": lambda data: parse_authenticator_data(data, allowed=CREDENTIAL_ALGORITHMS),
    "attestation": _attestation,
    "authenticator-metadata": lambda data: read_metadata(data, expected_roots=(root().certificate,), now=MOMENT),
}


def run(name: str, data: bytes) -> None:
    """One input for one parser; whatever it raises besides our own errors is a finding."""
    with suppress(UseIDError, DecodeError, JSONRefused, XMLError):
        TARGETS[name](data)
