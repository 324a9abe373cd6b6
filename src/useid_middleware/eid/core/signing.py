"""WS-Security of TR-03130-1 §3.5.2: a signature over body and timestamp, by a certificate that is known before.

Why by hand: ``signxml``, the library that is well kept, passes over transforms that it does not know, takes what a
reference names from anywhere in the tree, and knows no Security header. Each rule that refuses signature wrapping would
stand here all the same, in front of it; what it could take over are the twenty lines behind them. ``xmlsec`` would
bring a second libxml2, which must match that of ``lxml``. So canonical XML is by ``lxml`` and digests and signatures by
``cryptography``, and elements are found by their place in the envelope, never by their Id; each is signed as a whole;
and what the caller gets is parsed anew from the bytes that were signed.
"""

import re
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256 as Fingerprint
from cryptography.hazmat.primitives.serialization import Encoding

from ..._xml import Element, XMLError, add, canonicalize, local_name, namespace, parse_xml, sequence, serialize, text
from ...errors import EIDServerError
from .algorithms import PrivateKey, is_signature, is_strong
from .results import Minor
from .soap import DS, MAX_MESSAGE, SOAP, WSSE, WSU
from .xml_signature import XMLSignature, add_signature, check_digest, encode_base64, read_base64, read_signature

#: Seconds that a message of ours is good for, and that one of others is, whatever it says itself.
LIFETIME: Final = 300
#: Seconds that two clocks may differ.
SKEW: Final = 60
#: Random bytes that make each message another one, even in the same moment.
NONCE_SIZE: Final = 16

_X509V3: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3"
_BASE64: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
_ID: Final = f"{{{WSU}}}Id"
_MUST_UNDERSTAND: Final = f"{{{SOAP}}}mustUnderstand"
_SECURITY: Final = f"{{{WSSE}}}Security"
_SIGNATURE: Final = f"{{{DS}}}Signature"
_TIMESTAMP: Final = f"{{{WSU}}}Timestamp"
_TOKEN: Final = f"{{{WSSE}}}BinarySecurityToken"
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII).fullmatch
_SERIAL: Final = re.compile(r"-?\d{1,60}", re.ASCII).fullmatch
#: Canonical XML repeats a namespace where it is used, and so can be longer than what was sent.
_MAX_CANONICAL: Final = 16 * MAX_MESSAGE


class KeyReference(Enum):
    """How a message says which certificate signed it; both are understood.

    TR-03130-1 §3.5.2 wants issuer and serial number; a token brings the certificate along.
    """

    ISSUER_SERIAL = "X509IssuerSerial"
    BINARY_TOKEN = "BinarySecurityToken"


@dataclass(frozen=True, slots=True)
class VerifiedBody:
    """What a trusted certificate has signed; the functions that read messages take nothing else.

    ``payload`` is the one element of the body. ``replay_key`` names the signed message and no other: put it into a
    store until ``expires`` (Unix seconds), and refuse the message if it is there.
    """

    payload: Element
    certificate: x509.Certificate
    replay_key: bytes
    expires: float


def sign_envelope(
    envelope: Element,
    *,
    certificate: x509.Certificate,
    key: PrivateKey,
    now: float,
    nonce: bytes,
    lifetime: float = LIFETIME,
    key_reference: KeyReference = KeyReference.ISSUER_SERIAL,
) -> bytes:
    """The envelope with a Security header: Timestamp, and Signature over it and the body (WS-Security 1.0 §8).

    ``now`` is in Unix seconds, ``lifetime`` in seconds, ``nonce`` ``NONCE_SIZE`` random bytes.
    """
    signed = deepcopy(envelope)
    parts = sequence(signed, "Header", "Body", ns=SOAP, required=("Header", "Body"))
    security = add(parts["Header"], "Security", ns=WSSE)
    security.set(_MUST_UNDERSTAND, "1")
    timestamp = add(security, "Timestamp", ns=WSU)
    add(timestamp, "Created", _format_instant(now), ns=WSU)
    add(timestamp, "Expires", _format_instant(now + lifetime), ns=WSU)
    elements = {f"timestamp-{nonce.hex()}": timestamp, f"body-{nonce.hex()}": parts["Body"]}
    for name, element in elements.items():
        element.set(_ID, name)
    token_name = f"token-{nonce.hex()}"
    if key_reference is KeyReference.BINARY_TOKEN:
        content = encode_base64(certificate.public_bytes(Encoding.DER))
        token = add(security, "BinarySecurityToken", content, ns=WSSE)
        for attribute, value in ((_ID, token_name), ("EncodingType", _BASE64), ("ValueType", _X509V3)):
            token.set(attribute, value)
    referred = add(add_signature(security, elements, key=key), "SecurityTokenReference", ns=WSSE)
    if key_reference is KeyReference.BINARY_TOKEN:
        link = add(referred, "Reference", ns=WSSE)
        link.set("URI", f"#{token_name}")
        link.set("ValueType", _X509V3)
    else:
        issuer_serial = add(add(referred, "X509Data", ns=DS), "X509IssuerSerial", ns=DS)
        add(issuer_serial, "X509IssuerName", certificate.issuer.rfc4514_string(), ns=DS)
        add(issuer_serial, "X509SerialNumber", str(certificate.serial_number), ns=DS)
    return serialize(signed)


def verify_envelope(
    data: bytes, *, expected_certificates: Iterable[x509.Certificate], now: float, max_size: int = MAX_MESSAGE
) -> VerifiedBody:
    """What the body of this message says, once its signature is one by an expected certificate (TR-03130-1 §3.5.2).

    ``EIDServerError`` with ``common#internalError`` for a signature that is missing, invalid, weak, out of date, by
    another certificate, or not over the whole body and timestamp; with ``common#schemaViolation`` for what is no
    SOAP message at all.
    """
    try:
        envelope = parse_xml(data, max_size=max_size)
        if (local_name(envelope), namespace(envelope)) != ("Envelope", SOAP):
            raise XMLError("XML: expected a SOAP envelope")
    except XMLError as error:
        raise EIDServerError(Minor.SCHEMA_VIOLATION, str(error)) from None
    try:
        return _verify(envelope, certificates=tuple(expected_certificates), now=now)
    except XMLError as error:
        raise EIDServerError(Minor.INTERNAL_ERROR, f"WS-Security: {error}") from None


def _verify(envelope: Element, *, certificates: Sequence[x509.Certificate], now: float) -> VerifiedBody:
    parts = sequence(envelope, "Header", "Body", ns=SOAP, required=("Header", "Body"))
    header, body = parts["Header"], parts["Body"]
    security = _security(header)
    tags = [each.tag for each in security]
    if tags.count(_SIGNATURE) != 1 or tags.count(_TIMESTAMP) != 1 or tags.count(_TOKEN) > 1:
        raise XMLError("Security: expected one Timestamp, one Signature and at most one BinarySecurityToken")
    if not {*tags} <= {_SIGNATURE, _TIMESTAMP, _TOKEN}:
        raise XMLError("Security: expected no other elements")
    placed = dict(zip(tags, security, strict=True))
    timestamp, token = placed[_TIMESTAMP], placed.get(_TOKEN)
    _check_ids(envelope)
    signature = read_signature(placed[_SIGNATURE])
    named = _named_certificates(signature.key_info, token=token, certificates=certificates)
    certificate = _signer(signature, named=named, now=now)
    candidates = [
        body,
        timestamp,
        *([] if token is None else [token]),
        *(each for each in header if each is not security),
    ]
    names = {name: each for each in candidates if (name := each.get(_ID))}
    for reference in signature.references:
        if reference.name not in names:
            raise XMLError("Reference: expected the body, a header, the timestamp or the token, by wsu:Id")
        check_digest(reference, names[reference.name])
    signed = {reference.name for reference in signature.references}
    if not {body.get(_ID), timestamp.get(_ID)} <= signed:
        raise XMLError("Signature: expected to be over the body and the timestamp")
    expires = _check_timestamp(timestamp, now=now)
    if len(body) != 1:
        raise XMLError("Body: expected one element")
    # The copy has what was signed and nothing else: no context, no other element to be mistaken for it.
    payload = parse_xml(canonicalize(body), max_size=_MAX_CANONICAL)[0]
    replay_key = sha256(certificate.fingerprint(Fingerprint()) + signature.signed_info).digest()
    return VerifiedBody(payload, certificate, replay_key, expires)


def _security(header: Element) -> Element:
    """The one Security header; nothing else in the header may claim that it must be understood."""
    found = [each for each in header if each.tag == _SECURITY]
    if len(found) != 1:
        raise XMLError(f"Security: expected once, found {len(found)} times")
    if any(each.get(_MUST_UNDERSTAND) in ("1", "true") for each in header if each is not found[0]):
        raise XMLError("Header: expected no header but Security that must be understood")
    return found[0]


def _check_ids(envelope: Element) -> None:
    """No two elements may have one name, whatever their attribute for it is called."""
    names: set[str] = set()
    for element in envelope.iter():
        for attribute, name in element.attrib.items():
            if str(attribute).rpartition("}")[2].lower() == "id":
                if str(name) in names:
                    raise XMLError("Id: expected unique, found twice")
                names.add(str(name))


def _named_certificates(
    key_info: Element, *, token: Element | None, certificates: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Those of the expected certificates that the KeyInfo can mean (X.509 Token Profile 1.0 §3.2)."""
    reference = sequence(key_info, "SecurityTokenReference", ns=WSSE, required=("SecurityTokenReference",))
    kinds = sequence(reference["SecurityTokenReference"], "Reference", f"{{{DS}}}X509Data", ns=WSSE)
    if "Reference" in kinds and len(kinds) == 1:
        if token is None or token.get(_ID) is None or kinds["Reference"].get("URI") != f"#{token.get(_ID)}":
            raise XMLError("SecurityTokenReference: expected a reference to the BinarySecurityToken")
        if token.get("ValueType", _X509V3) != _X509V3 or token.get("EncodingType", _BASE64) != _BASE64:
            raise XMLError("BinarySecurityToken: expected an X.509 certificate in Base64")
        encoded = read_base64(token)
        named = [each for each in certificates if each.public_bytes(Encoding.DER) == encoded]
    elif "X509Data" in kinds and len(kinds) == 1:
        data = sequence(kinds["X509Data"], "X509IssuerSerial", ns=DS, required=("X509IssuerSerial",))
        members = ("X509IssuerName", "X509SerialNumber")
        found = sequence(data["X509IssuerSerial"], *members, ns=DS, required=members)
        serial = text(found["X509SerialNumber"])
        if not _SERIAL(serial):
            raise XMLError("X509SerialNumber: expected an integer")
        # There are many spellings of an issuer's name. This only chooses; it is the signature that decides.
        named = [each for each in certificates if each.serial_number == int(serial)]
    else:
        raise XMLError("SecurityTokenReference: expected a Reference or X509Data")
    if not named:
        raise XMLError("SecurityTokenReference: expected a certificate that is trusted, found another")
    return named


def _signer(signature: XMLSignature, *, named: Sequence[x509.Certificate], now: float) -> x509.Certificate:
    """The certificate, among those named, whose key made the signature."""
    for certificate in named:
        key = certificate.public_key()
        if not is_signature(signature.value, signature.signed_info, method=signature.method, expected_key=key):
            continue
        if not is_strong(key):
            raise XMLError("certificate: expected an RSA key of 2048 bits or an EC key of 256 bits")
        moment = datetime.fromtimestamp(now, UTC)
        if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
            raise XMLError("certificate: expected one that is valid today")
        return certificate
    raise XMLError("Signature: expected one by the certificate that it names")


def _check_timestamp(timestamp: Element, *, now: float) -> float:
    """Until when the message is good, in Unix seconds."""
    members = ("Created", "Expires")
    found = sequence(timestamp, *members, ns=WSU, required=members)
    created, expires = (_read_instant(found[name]) for name in members)
    if created > now + SKEW:
        raise XMLError("Created: expected a moment that has passed")
    until = min(expires, created + LIFETIME) + SKEW
    if now >= until:
        raise XMLError("Expires: expected a moment to come")
    return until


def _read_instant(element: Element) -> float:
    instant = text(element)
    if not _INSTANT(instant):
        raise XMLError(f"{local_name(element)}: expected a moment in UTC")
    try:
        return datetime.fromisoformat(instant).timestamp()
    except ValueError:
        raise XMLError(f"{local_name(element)}: expected a moment in UTC") from None


def _format_instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
