"""Attestation statements of every format, as authenticators make them; a test may change their parts before signing."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from struct import pack
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512
from fido2.cose import CoseKey
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry

from tests.webauthn.certificates import NOT_A_CA, NOW, PrivateKey, common_name, p256_key, rsa_key
from useid_middleware._codec import b64url
from useid_middleware.webauthn.core.attestation.android_key import KEY_DESCRIPTION
from useid_middleware.webauthn.core.attestation.apple import NONCE
from useid_middleware.webauthn.core.attestation.tpm import AIK_CERTIFICATE
from useid_middleware.webauthn.core.cose import Algorithm

_EC = {
    Algorithm.ES256: (ec.SECP256R1(), SHA256()),
    Algorithm.ESP256: (ec.SECP256R1(), SHA256()),
    Algorithm.ES384: (ec.SECP384R1(), SHA384()),
    Algorithm.ESP384: (ec.SECP384R1(), SHA384()),
    Algorithm.ES512: (ec.SECP521R1(), SHA512()),
    Algorithm.ESP512: (ec.SECP521R1(), SHA512()),
    Algorithm.ES256K: (ec.SECP256K1(), SHA256()),
}


def new_key(algorithm: int) -> PrivateKey:
    """A private key for a COSE algorithm."""
    if algorithm in _EC:
        return ec.generate_private_key(_EC[Algorithm(algorithm)][0])
    if algorithm in (Algorithm.EDDSA, Algorithm.ED25519):
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == Algorithm.ED448:
        return ed448.Ed448PrivateKey.generate()
    return rsa_key()


def sign(key: PrivateKey, algorithm: int, message: bytes) -> bytes:
    """A signature as WebAuthn Level 3 §6.5.5 wants it."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(_EC[Algorithm(algorithm)][1]))
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(SHA256()), 32)
        if algorithm == Algorithm.PS256:
            return key.sign(message, pss, SHA256())
        return key.sign(message, padding.PKCS1v15(), SHA1() if algorithm == Algorithm.RS1 else SHA256())
    return key.sign(message)


def cose_key(key: PrivateKey, algorithm: int) -> dict[int, Any]:
    """The public key as a COSE key."""
    return dict(CoseKey.for_alg(algorithm).from_cryptography_key(key.public_key()))


class Attesting(Protocol):
    """What a statement is made from."""

    algorithm: int
    key: PrivateKey
    cose: dict[int, Any]
    credential_id: bytes

    @property
    def rp_id_hash(self) -> bytes: ...
    def edit_certified(self, ceremony: Any, parts: dict[str, Any], /) -> None: ...
    def certificate(self, key: PrivateKey, **defaults: Any) -> list[bytes]: ...


def none_statement(ceremony: Attesting, data: bytes, client_data_hash: bytes) -> dict[str, Any]:
    return {}


def self_statement(ceremony: Attesting, data: bytes, client_data_hash: bytes) -> dict[str, Any]:
    return {"alg": ceremony.algorithm, "sig": sign(ceremony.key, ceremony.algorithm, data + client_data_hash)}


def packed_statement(ceremony: Attesting, data: bytes, client_data_hash: bytes) -> dict[str, Any]:
    parts: dict[str, Any] = {"message": data + client_data_hash, "key": p256_key(), "alg": Algorithm.ES256}
    ceremony.edit_certified(ceremony, parts)
    signature = sign(parts["key"], parts["alg"], parts["message"])
    return {"alg": parts["alg"], "sig": signature, "x5c": ceremony.certificate(parts["key"])}


def fido_u2f_statement(ceremony: Attesting, data: bytes, client_data_hash: bytes) -> dict[str, Any]:
    point = b"\x04" + ceremony.cose[-2] + ceremony.cose.get(-3, b"")
    message = b"\0" + ceremony.rp_id_hash + client_data_hash + ceremony.credential_id + point
    parts: dict[str, Any] = {"message": message, "key": p256_key(), "alg": Algorithm.ES256}
    ceremony.edit_certified(ceremony, parts)
    return {"sig": sign(parts["key"], parts["alg"], parts["message"]), "x5c": ceremony.certificate(parts["key"])}


TPM_NAME = x509.Name(
    [
        x509.RelativeDistinguishedName(
            [
                x509.NameAttribute(x509.ObjectIdentifier("2.23.133.2.1"), "id:FFFFF1D0"),
                x509.NameAttribute(x509.ObjectIdentifier("2.23.133.2.2"), "Model"),
                x509.NameAttribute(x509.ObjectIdentifier("2.23.133.2.3"), "id:13"),
            ]
        )
    ]
)
TPM_EXTENSIONS = (
    *NOT_A_CA,
    (x509.SubjectAlternativeName([x509.DirectoryName(TPM_NAME)]), True),
    (x509.ExtendedKeyUsage([AIK_CERTIFICATE]), False),
)
_TPM_CURVES = {1: 0x0003, 2: 0x0004, 3: 0x0005}


def public_area(cose: Mapping[int, Any], *, scheme: bytes = b"\x00\x10", exponent: int = 0) -> bytes:
    """TPMT_PUBLIC of a key."""
    head = b"\x00\x0b" + pack(">I", 0x00060472) + pack(">H", 32) + bytes(32) + b"\x00\x10" + scheme
    if cose[1] == 3:
        return b"\x00\x01" + head + pack(">HI", 2048, exponent) + sized(cose[-1])
    return b"\x00\x23" + head + pack(">HH", _TPM_CURVES[cose[-1]], 0x0010) + sized(cose[-2]) + sized(cose[-3])


def sized(data: bytes) -> bytes:
    return pack(">H", len(data)) + data


def tpm_statement(ceremony: Attesting, data: bytes, client_data_hash: bytes) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "area": public_area(ceremony.cose),
        "magic": b"\xffTCG",
        "type": b"\x80\x17",
        "message": data + client_data_hash,
        "extra": sha256(data + client_data_hash).digest(),
        "tail": b"",
        "key": p256_key(),
        "alg": Algorithm.ES256,
    }
    ceremony.edit_certified(ceremony, parts)
    object_name = parts.get("name", b"\x00\x0b" + sha256(parts["area"]).digest())
    info = b"".join(
        (parts["magic"], parts["type"], sized(b""), sized(parts["extra"]), bytes(25), sized(object_name), sized(b""))
    )
    info += parts["tail"]
    return {
        "ver": "2.0",
        "alg": parts["alg"],
        "x5c": ceremony.certificate(parts["key"], subject=x509.Name([]), extensions=TPM_EXTENSIONS),
        "sig": sign(parts["key"], parts["alg"], info),
        "certInfo": info,
        "pubArea": parts["area"],
    }


def tlv(tag: bytes, content: bytes) -> bytes:
    """DER, of content below 64 KiB."""
    size = len(content)
    length = bytes([size]) if size < 0x80 else b"\x81" + bytes([size]) if size < 0x100 else b"\x82" + pack(">H", size)
    return tag + length + content


PURPOSE, ALL_APPLICATIONS, ORIGIN = b"\xa1", b"\xbf\x84\x58", b"\xbf\x85\x3e"
SIGNS = tlv(PURPOSE, tlv(b"\x31", tlv(b"\x02", b"\x02") + tlv(b"\x02", b"\x03")))
GENERATED = tlv(ORIGIN, tlv(b"\x02", b"\x00"))


def key_description(challenge: bytes, *, software: bytes = b"", environment: bytes = SIGNS + GENERATED) -> bytes:
    """The value of Android's extension."""
    levels = tlv(b"\x02", b"\x01\x2c") + tlv(b"\x0a", b"\x01")
    content = levels * 2 + tlv(b"\x04", challenge) + tlv(b"\x04", b"")
    return tlv(b"\x30", content + tlv(b"\x30", software) + tlv(b"\x30", environment))


def android_key_statement(ceremony: Attesting, data: bytes, client_data_hash: bytes) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "message": data + client_data_hash,
        "key": ceremony.key,
        "alg": ceremony.algorithm,
        "challenge": client_data_hash,
        "description": key_description(client_data_hash),
    }
    ceremony.edit_certified(ceremony, parts)
    description = x509.UnrecognizedExtension(x509.ObjectIdentifier(KEY_DESCRIPTION), parts["description"])
    return {
        "alg": parts["alg"],
        "sig": sign(parts["key"], parts["alg"], parts["message"]),
        "x5c": ceremony.certificate(
            parts["key"], subject=common_name("Android Keystore Key"), extensions=((description, False),)
        ),
    }


def apple_statement(ceremony: Attesting, data: bytes, client_data_hash: bytes) -> dict[str, Any]:
    parts: dict[str, Any] = {"key": ceremony.key, "nonce": sha256(data + client_data_hash).digest()}
    ceremony.edit_certified(ceremony, parts)
    nonce = tlv(b"\x30", tlv(b"\xa1", tlv(b"\x04", parts["nonce"])))
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(NONCE), nonce)
    return {
        "alg": int(ceremony.algorithm),
        "x5c": ceremony.certificate(parts["key"], subject=common_name("apple"), extensions=((extension, False),)),
    }


SAFETYNET_EXTENSIONS = (*NOT_A_CA, (x509.SubjectAlternativeName([x509.DNSName("attest.android.com")]), False))


def signed_token(header: dict[str, Any], claims: dict[str, Any], key: rsa.RSAPrivateKey) -> bytes:
    """A compact JWS by RS256, whatever its header says."""
    message = ".".join(b64url(json.dumps(part).encode()) for part in (header, claims)).encode()
    model = JWSRegistry.algorithms["RS256"]
    return message + b"." + b64url(model.sign(message, RSAKey.import_key(key))).encode()


def safetynet_statement(ceremony: Attesting, data: bytes, client_data_hash: bytes) -> dict[str, Any]:
    x5c = ceremony.certificate(rsa_key(), subject=common_name("attest.android.com"), extensions=SAFETYNET_EXTENSIONS)
    parts: dict[str, Any] = {
        "header": {"alg": "RS256", "x5c": [b64encode(each).decode() for each in x5c]},
        "claims": {
            "nonce": b64encode(sha256(data + client_data_hash).digest()).decode(),
            "timestampMs": int(NOW * 1000),
            "ctsProfileMatch": True,
            "basicIntegrity": True,
        },
        "key": rsa_key(),
    }
    ceremony.edit_certified(ceremony, parts)
    return {"ver": "14799021", "response": signed_token(parts["header"], parts["claims"], parts["key"])}


def compound_statement(ceremony: Attesting, data: bytes, client_data_hash: bytes) -> list[dict[str, Any]]:
    return [
        {"fmt": "packed", "attStmt": packed_statement(ceremony, data, client_data_hash)},
        {"fmt": "packed", "attStmt": self_statement(ceremony, data, client_data_hash)},
    ]


STATEMENTS: dict[str, Callable[[Attesting, bytes, bytes], Any]] = {
    "none": none_statement,
    "self": self_statement,
    "packed": packed_statement,
    "fido-u2f": fido_u2f_statement,
    "tpm": tpm_statement,
    "android-key": android_key_statement,
    "android-safetynet": safetynet_statement,
    "apple": apple_statement,
    "compound": compound_statement,
}
