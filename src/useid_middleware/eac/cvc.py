"""Card-verifiable certificates: their form and their signature (TR-03110-3 C.1, D.2, D.3).

7F21{7F4E{5F29 profile, 42 CAR, 7F49 key, 5F20 CHR, 7F4C CHAT, 5F25 effective, 5F24 expiration, 65? extensions},
5F37 signature}, always in this order. What parses here is well-formed and no more; whether to believe it is the
question of ``certificate_chain``. References are ISO 8859-1 as bytes. Only ECDSA keys are known; plain signatures are
r ‖ s, each as long as the curve's order (TR-03111 §5.2.1).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1, SHA224, SHA256, SHA384, SHA512, HashAlgorithm

from .authentication_errors import CertificateError, CertificateSignatureError
from .chat import CHAT, CHAT_TAG
from .curves import CURVES, Curve, Point, private_key
from .errors import EACError
from .oids import OID, decode_oid, encode_oid
from .tlv import TLV, build, parse, parse_all

CERTIFICATE: Final = 0x7F21
BODY: Final = 0x7F4E
PROFILE: Final = 0x5F29
AUTHORITY_REFERENCE: Final = 0x42
PUBLIC_KEY: Final = 0x7F49
HOLDER_REFERENCE: Final = 0x5F20
EFFECTIVE: Final = 0x5F25
EXPIRATION: Final = 0x5F24
EXTENSIONS: Final = 0x65
EXTENSION: Final = 0x73
SIGNATURE: Final = 0x5F37

_VERSION: Final = b"\x00"
_OBJECT_IDENTIFIER: Final = 0x06
_POINT: Final = 0x86
_PARAMETERS: Final = (0x81, 0x82, 0x83, 0x84, 0x85)
_COFACTOR: Final = 0x87
#: Two letters of a country, up to nine of a mnemonic, five of a sequence number (C.1.2, C.1.3).
_REFERENCE_SIZES: Final = range(7, 17)

_HASHES: Final[dict[str, type[HashAlgorithm]]] = {
    OID.TA_ECDSA_SHA_1: SHA1,
    OID.TA_ECDSA_SHA_224: SHA224,
    OID.TA_ECDSA_SHA_256: SHA256,
    OID.TA_ECDSA_SHA_384: SHA384,
    OID.TA_ECDSA_SHA_512: SHA512,
}

#: From the bytes to be signed to a plain signature; the hash is inside.
Sign: TypeAlias = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key of Terminal Authentication, its domain parameters known."""

    protocol: str
    public: Point

    def verify(self, signature: bytes, data: bytes) -> None:
        """``CertificateSignatureError`` unless this is a plain signature of ``data`` by this key."""
        size = self.public.curve.order_size
        if len(signature) != 2 * size:
            raise CertificateSignatureError(f"signature: expected {2 * size} bytes, found {len(signature)}")
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        try:
            self.public.public_key().verify(encode_dss_signature(r, s), data, ec.ECDSA(_hash(self.protocol)))
        except InvalidSignature:
            raise CertificateSignatureError("the signature does not verify") from None

    def encode(self, *, tag: int = PUBLIC_KEY) -> bytes:
        """The public key data object with its domain parameters, as in certificates of a CVCA (D.3.3)."""
        return encode_point(self.protocol, self.public, tag=tag)


@dataclass(frozen=True, slots=True)
class CertificateKey:
    """A public key as a certificate has it: without ``curve`` it is on its issuer's."""

    protocol: str
    point: bytes
    curve: Curve | None = None

    def on(self, curve: Curve) -> VerificationKey:
        """The key on this curve; ``CertificateError`` if its point is not there."""
        try:
            return VerificationKey(self.protocol, Point.decode(curve, self.point))
        except EACError as error:
            raise CertificateError(f"public key: {error.message}") from None

    def encode(self) -> bytes:
        """The public key data object 7F49."""
        if self.curve is not None:
            return self.on(self.curve).encode()
        return build(PUBLIC_KEY, build(_OBJECT_IDENTIFIER, encode_oid(self.protocol)), build(_POINT, self.point))


@dataclass(frozen=True, slots=True)
class Extension:
    """A certificate extension (C.3): its data objects are tag and value, in their order."""

    protocol: str
    objects: tuple[tuple[int, bytes], ...]

    def encode(self) -> bytes:
        """The discretionary data template 73."""
        objects = (build(tag, value) for tag, value in self.objects)
        return build(EXTENSION, build(_OBJECT_IDENTIFIER, encode_oid(self.protocol)), *objects)


@dataclass(frozen=True, slots=True)
class CertificateBody:
    """What a certificate says (C.1)."""

    authority_reference: bytes
    holder_reference: bytes
    key: CertificateKey
    chat: CHAT
    effective: date
    expiration: date
    extensions: tuple[Extension, ...] = ()

    def encode(self) -> bytes:
        """The data object 7F4E, which is what gets signed."""
        extensions = build(EXTENSIONS, *(each.encode() for each in self.extensions)) if self.extensions else b""
        return build(
            BODY,
            build(PROFILE, _VERSION),
            build(AUTHORITY_REFERENCE, self.authority_reference),
            self.key.encode(),
            build(HOLDER_REFERENCE, self.holder_reference),
            self.chat.encode(),
            build(EFFECTIVE, _encode_date(self.effective)),
            build(EXPIRATION, _encode_date(self.expiration)),
            extensions,
        )


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate: what it says, the body 7F4E as it was signed, and the signature."""

    says: CertificateBody
    body: bytes
    signature: bytes

    @property
    def signed(self) -> bytes:
        """Body and signature as PSO:Verify Certificate takes them: all but the outermost tag (B.11.5)."""
        return self.body + build(SIGNATURE, self.signature)

    def encode(self) -> bytes:
        """The whole certificate."""
        return build(CERTIFICATE, self.signed)

    @property
    def self_signed(self) -> bool:
        """Whether holder and issuer have one name, as in the first certificate of a CVCA."""
        return self.says.authority_reference == self.says.holder_reference

    def extension(self, protocol: str) -> dict[int, bytes]:
        """The data objects of an extension by their tags; none if the certificate does not have it."""
        return next((dict(each.objects) for each in self.says.extensions if each.protocol == protocol), {})

    @property
    def description_hash(self) -> bytes | None:
        """The hash of the certificate description (C.3.1)."""
        return self.extension(OID.EXTENSION_DESCRIPTION).get(0x80)

    @property
    def sector_hashes(self) -> tuple[bytes | None, bytes | None]:
        """The hashes of the first and the second sector key for Restricted Identification (C.3.2)."""
        objects = self.extension(OID.EXTENSION_TERMINAL_SECTOR)
        return objects.get(0x80), objects.get(0x81)


def parse_certificate(data: bytes) -> Certificate:
    """A certificate from its whole encoding 7F21; ``CertificateError`` for anything else."""
    return _guarded(lambda: _certificate(parse(data, tag=CERTIFICATE, der=True).children))


def parse_signed(data: bytes) -> Certificate:
    """A certificate as PSO:Verify Certificate brings it: 7F4E and 5F37; ``CertificateError`` for anything else."""
    return _guarded(lambda: _certificate(parse_all(data, der=True)))


def sign_certificate(says: CertificateBody, *, sign: Sign) -> Certificate:
    """The certificate that says this, signed by its issuer; ``CertificateError`` if no certificate can say it."""
    body = says.encode()
    certificate = parse_signed(body + build(SIGNATURE, sign(body)))
    if certificate.says != says:
        raise CertificateError("certificate: expected dates from 2000 to 2099")
    return certificate


def ecdsa_signer(private: int, *, curve: Curve, protocol: str) -> Sign:
    """Signing with this scalar by a TA-ECDSA protocol, deterministic (RFC 6979); ``EACError`` for another protocol."""
    key = private_key(curve, private)
    algorithm = ec.ECDSA(_hash(protocol), deterministic_signing=True)

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, algorithm))
        return r.to_bytes(curve.order_size, "big") + s.to_bytes(curve.order_size, "big")

    return sign


def encode_point(protocol: str, public: Point, *, tag: int = PUBLIC_KEY) -> bytes:
    """A public key data object on elliptic curves with all its domain parameters (D.3.3), under ``tag``."""
    curve = public.curve
    size = curve.size
    return build(
        tag,
        build(_OBJECT_IDENTIFIER, encode_oid(protocol)),
        build(0x81, curve.p.to_bytes(size, "big")),
        build(0x82, curve.a.to_bytes(size, "big")),
        build(0x83, curve.b.to_bytes(size, "big")),
        build(0x84, curve.generator.encode()),
        build(0x85, curve.n.to_bytes(curve.order_size, "big")),
        build(_POINT, public.encode()),
        build(_COFACTOR, b"\x01"),
    )


def parse_point(item: TLV) -> tuple[str, bytes, Curve | None]:
    """Protocol, encoded point and curve of a public key data object; no curve if it has no domain parameters.

    ``EACError`` if it has another form, or parameters of no curve known here.
    """
    tags = tuple(child.tag for child in item.children)
    members = {child.tag: child.value for child in item.children}
    if tags == (_OBJECT_IDENTIFIER, _POINT):
        curve = None
    elif tags == (_OBJECT_IDENTIFIER, *_PARAMETERS, _POINT, _COFACTOR):
        curve = _curve(members)
    else:
        raise CertificateError("public key: expected 06 and 86, or 06 and 81 to 87")
    return decode_oid(members[_OBJECT_IDENTIFIER]), members[_POINT], curve


def _curve(members: dict[int, bytes]) -> Curve:
    """The curve with these domain parameters: only whole ones count, so that none can be forged by its generator."""
    p, a, b, generator, n = (members[tag] for tag in _PARAMETERS)
    found = (*(int.from_bytes(each, "big") for each in (p, a, b, n)), generator, members[_COFACTOR])
    for curve in CURVES:
        if found == (curve.p, curve.a, curve.b, curve.n, curve.generator.encode(), b"\x01"):
            return curve
    raise CertificateError("public key: expected the domain parameters of a known curve")


def _guarded(read: Callable[[], Certificate]) -> Certificate:
    try:
        return read()
    except CertificateError:
        raise
    except EACError as error:
        raise CertificateError(f"certificate: {error.message}") from None


def _certificate(objects: tuple[TLV, ...]) -> Certificate:
    if tuple(item.tag for item in objects) != (BODY, SIGNATURE):
        raise CertificateError("certificate: expected a body (7F4E) and a signature (5F37)")
    body, signature = objects
    tags = (PROFILE, AUTHORITY_REFERENCE, PUBLIC_KEY, HOLDER_REFERENCE, CHAT_TAG, EFFECTIVE, EXPIRATION)
    has_extensions = len(body.children) > len(tags)
    profile, authority, key, holder, chat, effective, expiration, *extensions = body.only(
        *tags, *((EXTENSIONS,) if has_extensions else ())
    )
    if profile.value != _VERSION:
        raise CertificateError("certificate profile: expected version 1 (00)")
    says = CertificateBody(
        authority_reference=_reference(authority),
        holder_reference=_reference(holder),
        key=_key(key),
        chat=CHAT.from_tlv(chat),
        effective=_decode_date(effective),
        expiration=_decode_date(expiration),
        extensions=tuple(_extension(item) for item in extensions[0].children) if extensions else (),
    )
    if says.effective > says.expiration:
        raise CertificateError("certificate: expected an expiration date not before the effective date")
    return Certificate(says, body.encoded, signature.value)


def _key(item: TLV) -> CertificateKey:
    protocol, point, curve = parse_point(item)
    _hash(protocol)
    key = CertificateKey(protocol, point, curve)
    if curve is not None:
        key.on(curve)
    return key


def _reference(item: TLV) -> bytes:
    if len(item.value) not in _REFERENCE_SIZES:
        raise CertificateError(f"{item.tag:02X}: expected a reference of 7 to 16 bytes, found {len(item.value)}")
    return item.value


def _extension(item: TLV) -> Extension:
    if item.tag != EXTENSION or not item.children or item.children[0].tag != _OBJECT_IDENTIFIER:
        raise CertificateError("extensions: expected templates (73) that begin with an object identifier")
    oid, *objects = item.children
    if len({each.tag for each in objects}) != len(objects):
        raise CertificateError("extension: expected each data object once")
    return Extension(decode_oid(oid.value), tuple((each.tag, each.value) for each in objects))


def _encode_date(day: date) -> bytes:
    """Six bytes, a digit each: YYMMDD (D.2.1.3)."""
    return bytes(int(digit) for digit in day.strftime("%y%m%d"))


def _decode_date(item: TLV) -> date:
    digits = item.value
    if len(digits) != 6 or max(digits) > 9:
        raise CertificateError(f"{item.tag:02X}: expected a date of six digits, a byte each")
    year, month, day = (10 * digits[at] + digits[at + 1] for at in (0, 2, 4))
    try:
        return date(2000 + year, month, day)
    except ValueError:
        raise CertificateError(f"{item.tag:02X}: expected a day of the calendar") from None


def _hash(protocol: str) -> HashAlgorithm:
    algorithm = _HASHES.get(protocol)
    if algorithm is None:
        raise CertificateError(f"public key: expected a TA-ECDSA protocol, found {protocol}")
    return algorithm()
