"""EF.CardSecurity: SecurityInfos in a CMS SignedData, signed by a document signer below a CSCA (TR-03110-3 A.1.2.2).

Two steps, two types: :func:`parse_card_security` finds the content intact under the signer's certificate that comes
with it; :func:`verify_card_security` alone gives SecurityInfos, once that certificate is one of a trusted CSCA.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Final, TypeVar

from asn1crypto import algos, cms, core
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, Hash, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from .errors import CardSecurityError, EACError
from .oids import OID
from .security_info_parsing import parse_security_infos
from .security_infos import SecurityInfos
from .tlv import parse

E = TypeVar("E", bound=x509.ExtensionType)

#: No SHA-1, and no SHA-224: TR-03116-2 and ICAO Doc 9303-12 have moved on.
_HASHES: Final[dict[str, type[HashAlgorithm]]] = {"sha256": SHA256, "sha384": SHA384, "sha512": SHA512}
_CMS_VERSION: Final = "v3"
_SET_OF: Final = b"\x31"


@dataclass(frozen=True, slots=True)
class SignedContent:
    """Content that its own signer's certificate verifies. Whether to believe that certificate is another question."""

    content: bytes
    signer: x509.Certificate


@dataclass(frozen=True, slots=True)
class _SignerInfo:
    """What the signature is made of; ``attributes`` are the signed ones as the SET OF that is signed."""

    content: bytes
    certificate: bytes
    digest_algorithm: str
    content_type: str
    message_digest: bytes
    attributes: bytes
    scheme: str
    hash_algorithm: str
    salt_length: int
    signature: bytes


def verify_card_security(
    data: bytes, *, trusted: Iterable[x509.Certificate], now: datetime, revoked: Collection[int] = ()
) -> SecurityInfos:
    """The SecurityInfos of EF.CardSecurity, or ``CardSecurityError``: passive authentication.

    ``trusted`` are CSCA certificates, ``now`` is an aware date, ``revoked`` are serial numbers of document signers.
    """
    signed = parse_card_security(data)
    verify_document_signer(signed.signer, trusted=trusted, now=now, revoked=revoked)
    return parse_security_infos(signed.content)


def parse_card_security(data: bytes) -> SignedContent:
    """The content of EF.CardSecurity and its signer, form, digest and signature checked; ``CardSecurityError``."""
    signed = _read(data)
    if signed.content_type != OID.SECURITY_OBJECT:
        raise CardSecurityError("content-type attribute: expected the type of the content")
    digest = Hash(_hash(signed.digest_algorithm))
    digest.update(signed.content)
    if not compare_digest(digest.finalize(), signed.message_digest):
        raise CardSecurityError("message-digest attribute: expected the digest of the content")
    try:
        certificate = x509.load_der_x509_certificate(signed.certificate)
        _verify_signature(signed, certificate)
    except InvalidSignature:
        raise CardSecurityError("the signature of EF.CardSecurity does not verify") from None
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise CardSecurityError("document signer: expected a certificate with a key on a named curve, or RSA") from None
    return SignedContent(signed.content, certificate)


def verify_document_signer(
    signer: x509.Certificate, *, trusted: Iterable[x509.Certificate], now: datetime, revoked: Collection[int] = ()
) -> x509.Certificate:
    """The CSCA among ``trusted`` that issued this document signer, both valid now; ``CardSecurityError`` otherwise."""
    issuer = next((csca for csca in trusted if _is_issuer(csca, signer)), None)
    if issuer is None:
        raise CardSecurityError("document signer: expected the certificate of a trusted CSCA, found another issuer")
    for name, certificate in (("CSCA", issuer), ("document signer", signer)):
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise CardSecurityError(f"{name}: expected a certificate that is valid now")
    if not _may(signer, "digital_signature"):
        raise CardSecurityError("document signer: expected the key usage digitalSignature")
    if signer.serial_number in revoked:
        raise CardSecurityError("document signer: the certificate is revoked")
    return issuer


def build_card_security(infos: SecurityInfos, *, signer: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    """EF.CardSecurity in DER, signed by ``key``, which is that of ``signer``; deterministic (RFC 6979)."""
    size = key.curve.key_size
    name = "sha256" if size <= 256 else "sha384" if size <= 384 else "sha512"
    content = infos.encode()
    digest = Hash(_HASHES[name]())
    digest.update(content)
    attributes = cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": [str(OID.SECURITY_OBJECT)]}),
            cms.CMSAttribute({"type": "message_digest", "values": [digest.finalize()]}),
        ]
    )
    signature = key.sign(attributes.dump(), ec.ECDSA(_HASHES[name](), deterministic_signing=True))
    certificate = asn1_x509.Certificate.load(signer.public_bytes(Encoding.DER))
    identifier = cms.IssuerAndSerialNumber({"issuer": certificate.issuer, "serial_number": signer.serial_number})
    algorithm = algos.DigestAlgorithm({"algorithm": name})
    signer_info = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier({"issuer_and_serial_number": identifier}),
            "digest_algorithm": algorithm,
            "signed_attrs": attributes,
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": f"{name}_ecdsa"}),
            "signature": signature,
        }
    )
    signed_data = cms.SignedData(
        {
            "version": _CMS_VERSION,
            "digest_algorithms": [algorithm],
            "encap_content_info": {
                "content_type": str(OID.SECURITY_OBJECT),
                "content": core.ParsableOctetString(content),
            },
            "certificates": [certificate],
            "signer_infos": [signer_info],
        }
    )
    der: bytes = cms.ContentInfo({"content_type": "signed_data", "content": signed_data}).dump()
    return der


def _read(data: bytes) -> _SignerInfo:
    """The one signer's part of a SignedData (RFC 5652 §5) in DER."""
    try:
        # Definite lengths, bounded depth and nothing after the end: asn1crypto would let more pass.
        parse(data, tag=0x30, der=True)
        return _read_signed_data(cms.ContentInfo.load(data, strict=True))
    except CardSecurityError:
        raise
    except (EACError, ValueError, TypeError, KeyError) as error:
        # The library's messages quote content.
        reason = error.message if isinstance(error, EACError) else "the structure is another one"
        raise CardSecurityError(f"EF.CardSecurity: expected a CMS SignedData in DER: {reason}") from None


def _read_signed_data(outer: cms.ContentInfo) -> _SignerInfo:
    if outer["content_type"].native != "signed_data":
        raise CardSecurityError("EF.CardSecurity: expected the content type SignedData")
    signed_data = outer["content"]
    encapsulated = signed_data["encap_content_info"]
    if signed_data["version"].native != _CMS_VERSION or encapsulated["content_type"].dotted != OID.SECURITY_OBJECT:
        raise CardSecurityError("EF.CardSecurity: expected version 3 and the content type id-SecurityObject")
    for member in (encapsulated["content"], signed_data["certificates"]):
        if isinstance(member, core.Void):
            raise CardSecurityError("EF.CardSecurity: expected the content and its signer's certificate inside")
    if len(signed_data["signer_infos"]) != 1:
        raise CardSecurityError("EF.CardSecurity: expected one signer")
    info = signed_data["signer_infos"][0]
    attributes = info["signed_attrs"]
    if isinstance(attributes, core.Void):
        raise CardSecurityError("EF.CardSecurity: expected signed attributes")
    algorithm = info["signature_algorithm"]
    return _SignerInfo(
        content=bytes(encapsulated["content"]),
        certificate=_signer_certificate(signed_data["certificates"], info["sid"]),
        digest_algorithm=info["digest_algorithm"]["algorithm"].native,
        content_type=_attribute(attributes, "content_type").dotted,
        message_digest=_attribute(attributes, "message_digest").native,
        # Signed is the SET OF, sent is the same under [0] (RFC 5652 §5.4).
        attributes=_SET_OF + attributes.dump()[1:],
        scheme=algorithm.signature_algo,
        hash_algorithm=algorithm.hash_algo,
        salt_length=_salt_length(algorithm),
        signature=info["signature"].native,
    )


def _attribute(attributes: cms.CMSAttributes, name: str) -> core.Asn1Value:
    """The one value of a signed attribute (RFC 5652 §11)."""
    values = [value for item in attributes if item["type"].native == name for value in item["values"]]
    if len(values) != 1:
        raise CardSecurityError(f"signed attributes: expected one {name}, found {len(values)}")
    return values[0]


def _signer_certificate(certificates: cms.CertificateSet, signer: cms.SignerIdentifier) -> bytes:
    """The one certificate that the signer identifier names (RFC 5652 §5.3), in DER."""
    found = [
        choice.chosen.dump()
        for choice in certificates
        if choice.name == "certificate" and _is_named(choice.chosen, signer.chosen)
    ]
    if len(found) != 1:
        raise CardSecurityError(f"EF.CardSecurity: expected the signer's certificate once, found {len(found)}")
    der: bytes = found[0]
    return der


def _is_named(certificate: asn1_x509.Certificate, name: core.Asn1Value) -> bool:
    if isinstance(name, cms.IssuerAndSerialNumber):
        return bool(
            certificate.issuer.dump() == name["issuer"].dump()
            and certificate.serial_number == name["serial_number"].native
        )
    return bool(certificate.key_identifier == name.native)


def _salt_length(algorithm: algos.SignedDigestAlgorithm) -> int:
    """Of RSASSA-PSS (RFC 4055 §3.1), with one hash for both its purposes; 0 for other schemes."""
    if algorithm.signature_algo != "rsassa_pss":
        return 0
    parameters = algorithm["parameters"]
    mask = parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native
    if mask != parameters["hash_algorithm"]["algorithm"].native:
        raise CardSecurityError("RSASSA-PSS: expected one hash for message and mask")
    return int(parameters["salt_length"].native)


def _verify_signature(signed: _SignerInfo, certificate: x509.Certificate) -> None:
    """``InvalidSignature`` if it is not this key's signature over the signed attributes."""
    key, algorithm = certificate.public_key(), _hash(signed.hash_algorithm)
    match key, signed.scheme:
        case ec.EllipticCurvePublicKey(), "ecdsa":
            key.verify(signed.signature, signed.attributes, ec.ECDSA(algorithm))
        case rsa.RSAPublicKey(), "rsassa_pss":
            scheme = padding.PSS(padding.MGF1(algorithm), signed.salt_length)
            key.verify(signed.signature, signed.attributes, scheme, algorithm)
        case rsa.RSAPublicKey(), "rsassa_pkcs1v15":
            key.verify(signed.signature, signed.attributes, padding.PKCS1v15(), algorithm)
        case _:
            raise CardSecurityError("EF.CardSecurity: expected a signature by ECDSA or RSA that fits the signer's key")


def _hash(name: str) -> HashAlgorithm:
    algorithm = _HASHES.get(name)
    if algorithm is None:
        raise CardSecurityError(f"EF.CardSecurity: expected one of {', '.join(_HASHES)}")
    return algorithm()


def _is_issuer(csca: x509.Certificate, signer: x509.Certificate) -> bool:
    """Whether this CSCA has issued the signer, and may issue certificates (RFC 5280 §4.2.1.9)."""
    try:
        signer.verify_directly_issued_by(csca)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    constraints = _extension(csca, x509.BasicConstraints)
    return constraints is not None and constraints.ca and _may(csca, "key_cert_sign")


def _may(certificate: x509.Certificate, usage: str) -> bool:
    """Whether the key usage names this one; a certificate without key usage may all (RFC 5280 §4.2.1.3)."""
    named = _extension(certificate, x509.KeyUsage)
    return named is None or bool(getattr(named, usage))


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise CardSecurityError("certificate: expected extensions that can be read") from None
