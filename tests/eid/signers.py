"""Who signs messages in tests, honest or not: a key, its certificate, and signatures of every kind over any element."""

import hashlib
from base64 import b64encode
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from lxml import etree

from useid_middleware._xml import Element, canonicalize, serialize
from useid_middleware.eid.core.algorithms import PrivateKey
from useid_middleware.eid.core.signing import KeyReference, sign_envelope
from useid_middleware.eid.core.soap import DS, DSS, EID, SOAP, WSSE, WSU

NOW: Final = 1_800_000_000.0
NAMES: Final = {"s": SOAP, "wsse": WSSE, "wsu": WSU, "ds": DS, "eid": EID, "dss": DSS}
WSU_ID: Final = f"{{{WSU}}}Id"
_HASHES: Final = {
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


@dataclass(frozen=True)
class Signer:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)

    @property
    def certificate_pem(self) -> bytes:
        """As a file has it."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """As a file has it."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(
        self,
        envelope: Element,
        *,
        now: float = NOW,
        nonce: bytes = bytes(16),
        lifetime: float = 300,
        key_reference: KeyReference = KeyReference.ISSUER_SERIAL,
    ) -> bytes:
        """Sign as an honest sender does."""
        return sign_envelope(
            envelope,
            certificate=self.certificate,
            key=self.key,
            now=now,
            nonce=nonce,
            lifetime=lifetime,
            key_reference=key_reference,
        )


@lru_cache(maxsize=8)
def rsa_key(size: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key; they take long to make."""
    return rsa.generate_private_key(public_exponent=65537, key_size=size)


@lru_cache(maxsize=8)
def ec_key(name: str = "secp256r1") -> ec.EllipticCurvePrivateKey:
    """An EC key on the curve of this name."""
    curves = {"secp256r1": ec.SECP256R1(), "secp384r1": ec.SECP384R1(), "secp521r1": ec.SECP521R1()}
    return ec.generate_private_key(curves[name])


def new_signer(
    key: PrivateKey | None = None,
    *,
    name: str = "signer TEST",
    serial: int = 0,
    issuer: Signer | None = None,
    host: str = "",
    is_authority: bool = False,
    now: float = NOW,
    begins: timedelta = timedelta(days=-1),
    ends: timedelta = timedelta(days=1),
) -> Signer:
    """A signer with a certificate by ``issuer``, or self-signed, that is valid around ``now``."""
    mine = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    moment = datetime.fromtimestamp(now, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(mine.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(moment + begins)
        .not_valid_after(moment + ends)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(mine.public_key()), critical=False)
    )
    above = issuer.key if issuer else mine
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False
    )
    if is_authority:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    if host:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return Signer(builder.sign(above, hashes.SHA256()), mine)


# messages that are changed


def one(root: Element, path: str) -> Element:
    """The one element at this path."""
    (found,) = root.findall(path, NAMES)
    return found


def changed(data: bytes, *changes: Callable[[Element], object]) -> bytes:
    """The message after changes to its tree. What was signed stays signed as it was."""
    root = etree.fromstring(data)
    for change in changes:
        change(root)
    return serialize(root)


def resigned(data: bytes, signer: Signer, *changes: Callable[[Element], object]) -> bytes:
    """The message after changes to its tree, with digests and a signature that fit what it says now.

    The algorithms are those that it names, good or bad; each reference is to the first element of that name.
    """
    return changed(data, *changes, lambda root: _sign(root, signer))


def _sign(root: Element, signer: Signer) -> None:
    info = one(root, ".//ds:SignedInfo")
    for reference in info.findall("ds:Reference", NAMES):
        name = str(reference.get("URI")).removeprefix("#")
        element = next((each for each in root.iter() if name in each.attrib.values()), root)
        method = str(one(reference, "ds:DigestMethod").get("Algorithm"))
        digest = hashlib.new(method.rpartition("#")[2], canonicalize(element)).digest()
        one(reference, "ds:DigestValue").text = b64encode(digest).decode()
    method = str(one(info, "ds:SignatureMethod").get("Algorithm")).rpartition("#")[2]
    one(root, ".//ds:SignatureValue").text = b64encode(_signature(canonicalize(info), method, signer)).decode()


def _signature(data: bytes, method: str, signer: Signer) -> bytes:
    family, _, name = method.partition("-")
    if family == "hmac":
        # The attack: what everybody knows, as a secret.
        public = signer.certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        code = hmac.HMAC(public, _HASHES[name])
        code.update(data)
        return code.finalize()
    if isinstance(signer.key, rsa.RSAPrivateKey):
        return signer.key.sign(data, padding.PKCS1v15(), _HASHES[name])
    r, s = decode_dss_signature(signer.key.sign(data, ec.ECDSA(_HASHES[name])))
    size = (signer.key.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def copy_of(element: Element) -> Element:
    """The element and all below it, without parent."""
    return deepcopy(element)
