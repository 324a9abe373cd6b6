"""Every parser of what comes from outside, as a function of bytes that may raise our own errors and nothing else."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.eid.signers import NOW as SIGNED_AT
from tests.eid.test_soap import SIGNER
from tests.eid.world import SECRET
from tests.emulation.card import world as card_world
from tests.fuzz.seeds import SESSION_ID, WIDGET_KEY, registered
from tests.fuzz.served import answer_body, answer_request
from tests.webauthn.authenticator import Authenticating, Registering
from tests.webauthn.certificates import MOMENT, root
from useid_middleware._codec import DecodeError, b64url
from useid_middleware._sealing import SealBroken, seal, unseal
from useid_middleware._xml import XMLError, canonicalize, parse_xml, serialize
from useid_middleware.audit.chain import ChainBroken, parse_entry, read_entry, verify
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
from useid_middleware.eid.routes import is_below
from useid_middleware.emulation import paos
from useid_middleware.emulation.server.data_groups import NUMBERS, declared_size, personal_data
from useid_middleware.emulation.server.names import session_in
from useid_middleware.errors import UseIDError
from useid_middleware.http.cookies import Cookie
from useid_middleware.http.forwarded import TrustedProxies, parse_address
from useid_middleware.http.redirects import check_redirect
from useid_middleware.http.requests import parse_pairs
from useid_middleware.oidc.core.authorization import parse_pushed_response
from useid_middleware.oidc.core.callback import read_parameters
from useid_middleware.oidc.core.jose import claimed_issuer, verify_token
from useid_middleware.oidc.core.keys import KeySet
from useid_middleware.oidc.core.metadata import parse_metadata
from useid_middleware.oidc.core.registration import parse_registration
from useid_middleware.oidc.core.strict_json import JSONRefused, read_object
from useid_middleware.oidc.core.tokens import parse_token_response
from useid_middleware.oidc.core.webfinger import issuer_of, normalise, webfinger_url
from useid_middleware.qr.core.enrolment import check_label
from useid_middleware.qr.core.link import parse_link
from useid_middleware.settings.network import NetworkSettings
from useid_middleware.waiting.code import check_code_format
from useid_middleware.webauthn.core import cbor
from useid_middleware.webauthn.core.attestation.tpm_structures import read_attest, read_public_area
from useid_middleware.webauthn.core.authenticator_data import parse_authenticator_data
from useid_middleware.webauthn.core.cose import CREDENTIAL_ALGORITHMS
from useid_middleware.webauthn.core.metadata import read_metadata
from useid_middleware.webauthn.core.response import read_authentication, read_registration
from useid_middleware.webauthn.core.sealing import open_refresh_url as open_bound_url
from useid_middleware.webauthn.core.sealing import seal_refresh_url as seal_bound_url
from useid_middleware.widget.serve import choose_language

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


def _open_bound(data: bytes) -> None:
    """HPKE: what anybody may send, and what a phone has sealed for us."""
    private_key, public_key = WIDGET_KEY.private_bytes_raw(), WIDGET_KEY.public_key().public_bytes_raw()
    with suppress(UseIDError):
        open_bound_url(_text(data), private_key=private_key, session_id=SESSION_ID)
    url = _text(data)
    sealed = seal_bound_url(url, public_key=public_key, session_id=SESSION_ID)
    if len(sealed) <= 4096:
        assert open_bound_url(sealed, private_key=private_key, session_id=SESSION_ID) == url


def _at_rest(data: bytes) -> None:
    """A sealed value of the store: changed, and as it was."""
    with suppress(SealBroken):
        unseal(data, secret=SECRET, purpose=b"fuzz")
    assert unseal(seal(data, secret=SECRET, purpose=b"fuzz", nonce=bytes(12)), secret=SECRET, purpose=b"fuzz") == data


def _redirect(data: bytes) -> None:
    """What may be gone to is at our own origin, as urllib sees it too."""
    target = check_redirect(_text(data), origin="https://app.example")
    parts = urlsplit(urljoin("https://app.example/auth/login", target))
    assert (parts.scheme, parts.netloc) == ("https", "app.example")


def _token_url(data: bytes) -> None:
    """What counts as a site's own tcTokenURL is at its origin, below its folder."""
    url = _text(data)
    if is_below(url, "https://shop.example/eid/"):
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc) == ("https", "shop.example")
        assert parts.path.startswith("/eid/")


#: What proxies write of a request, a line of the input for each.
_FORWARDED: Final = (b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-prefix")


def _forwarded(data: bytes) -> None:
    """Whatever a proxy passes on, a request is one afterwards: an address, a scheme, a host, a path below its root."""
    headers = list(zip(_FORWARDED * 2, data.split(b"\n"), strict=False))
    for kind in ("x-forwarded", "forwarded"):
        believed = ("for", "proto", "host", "prefix")
        settings = {"trusted_proxies": ("192.0.2.0/24", "unix"), "forwarded_by": kind, "forwarded": believed}
        scope: dict[str, Any] = {
            "type": "http",
            "scheme": "http",
            "path": "/a",
            "raw_path": b"/a",
            "root_path": "",
            "client": ("192.0.2.1", 1),
            "headers": [(b"host", b"app.example"), *headers],
        }
        TrustedProxies(NetworkSettings.model_validate(settings)).apply(scope)
        assert parse_address(scope["client"][0]) is not None
        assert scope["scheme"] in ("http", "https")
        assert scope["path"] == scope["root_path"] + "/a"
        assert re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", scope["root_path"])
        (host,) = [value for name, value in scope["headers"] if name == b"host"]
        assert re.fullmatch(rb"[a-z0-9.:\[\]-]+", host)


def _cookie(data: bytes) -> None:
    """A cookie's value is of our making or it is none."""
    for secure in (True, False):
        value = _COOKIE.read([(b"cookie", line) for line in data.split(b"\n")], secure=secure)
        assert value is None or re.fullmatch(r"[A-Za-z0-9_-]{1,128}", value)


def _language(data: bytes) -> None:
    assert choose_language(_text(data)) in ("en", "de")


def _code(data: bytes) -> None:
    """What people type."""
    assert re.fullmatch(r"([0-9]{6})?", check_code_format(data.decode("utf-8", "replace")))


def _label(data: bytes) -> None:
    """A phone's name for itself."""
    assert check_label(data.decode("utf-8", "replace")).isprintable()


def _webfinger(data: bytes) -> None:
    """What a person types for their address, and what their domain answers."""
    with suppress(UseIDError):
        resource, host = normalise(data.decode("utf-8", "replace"))
        assert urlsplit(webfinger_url(resource, host)).hostname
    issuer_of(data, expected_resource="acct:joe@example.com")


def _client_data(data: bytes) -> None:
    """The client data of an assertion that is signed as it should be."""
    Authenticating(edit_client_data=lambda _: data).run()


def _assertion(data: bytes) -> None:
    """The authenticator data of an assertion that is signed as it should be."""
    Authenticating(edit_authenticator_data=lambda _: data).run()


def _tpm(data: bytes) -> None:
    """A key as a TPM describes it, and what a TPM vouches for."""
    (read_attest if data.startswith(b"\xffTCG") else read_public_area)(data)


def _audit(data: bytes) -> None:
    """A line of the audit log, and a whole one."""
    read_entry(data)
    with suppress(ValueError):
        parse_entry(data, key=None)
    with suppress(ChainBroken):
        verify(data.split(b"\n"), key=None)


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
    "pushed-response": lambda data: parse_pushed_response(201, data),
    "registration-response": lambda data: parse_registration(201, data),
    "webfinger": _webfinger,
    "request": answer_request,
    "body": answer_body,
    "cookie": _cookie,
    "forwarded": _forwarded,
    "language": _language,
    "redirect": _redirect,
    "token-url": _token_url,
    "code": _code,
    "label": _label,
    "link": lambda data: parse_link(_text(data), scheme="tana"),
    "xml": _xml,
    "paos": _paos,
    "soap-request": _soap_request,
    "soap-response": _soap_response,
    "soap-signature": lambda data: verify_envelope(data, expected_certificates=(SIGNER.certificate,), now=SIGNED_AT),
    "tctoken": parse_tctoken,
    "client-link": lambda data: parse_client_link(_text(data)),
    "sealed-address": _open_sealed,
    "bound-address": _open_bound,
    "sealed-at-rest": _at_rest,
    "audit-log": _audit,
    "data-group": _data_group,
    "registration": lambda data: read_registration(read_object(data)),
    "authentication": lambda data: read_authentication(read_object(data)),
    "cbor": lambda data: cbor.decode(data, name="fuzz"),
    "authenticator-data": lambda data: parse_authenticator_data(data, allowed=CREDENTIAL_ALGORITHMS),
    "attestation": _attestation,
    "client-data": _client_data,
    "assertion": _assertion,
    "tpm": _tpm,
    "authenticator-metadata": lambda data: read_metadata(data, expected_roots=(root().certificate,), now=MOMENT),
}


def run(name: str, data: bytes) -> None:
    """One input for one parser; whatever it raises besides our own errors is a finding."""
    with suppress(UseIDError, DecodeError, JSONRefused, XMLError):
        TARGETS[name](data)
