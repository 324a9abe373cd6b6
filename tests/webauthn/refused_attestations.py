"""What is refused of attestation statements, by format; ``test_trust`` has the paths of their certificates."""

from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from tests.webauthn.authenticator import AAGUID, Registering
from tests.webauthn.certificates import A_CA, NOT_A_CA, NOW, common_name, name, p256_key, rsa_key
from tests.webauthn.changes import Case, appended, cut, flipped, members, part, parts, without
from tests.webauthn.statements import (
    ALL_APPLICATIONS,
    GENERATED,
    ORIGIN,
    PURPOSE,
    SIGNS,
    TPM_EXTENSIONS,
    key_description,
    new_key,
    public_area,
    tlv,
)
from useid_middleware.webauthn.core.attestation.apple import NONCE
from useid_middleware.webauthn.core.attestation.statement import AAGUID_EXTENSION, StatementRules
from useid_middleware.webauthn.core.cose import Algorithm
from useid_middleware.webauthn.core.trust import AttestationPolicy

OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_SIGNATURE = OTHER_KEY.sign(b"", ec.ECDSA(SHA256()))


def raw(oid: str, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)


def subject(*parts: tuple[x509.ObjectIdentifier, str]) -> dict[str, Any]:
    return {"leaf": {"subject": name(*parts)}}


COUNTRY, ORGANISATION, UNIT, COMMON = (
    (NameOID.COUNTRY_NAME, "DE"),
    (NameOID.ORGANIZATION_NAME, "Maker"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Authenticator Attestation"),
    (NameOID.COMMON_NAME, "Model 1"),
)

MALFORMED = "webauthn_attestation_malformed"
CERTIFICATE = "webauthn_attestation_certificate_refused"
SIGNATURE = "webauthn_attestation_signature_invalid"
KEY = "webauthn_attestation_key_mismatch"
NONE: list[Case] = [
    ("with a statement", {"edit_statement": members(sig=b"sig")}, MALFORMED),
    ("with a list", {"edit_object": members(attStmt=[])}, MALFORMED),
]

PACKED: list[Case] = [
    ("alg missing", {"edit_statement": without("alg")}, MALFORMED),
    ("sig missing", {"edit_statement": without("sig")}, MALFORMED),
    ("alg a text", {"edit_statement": members(alg="ES256")}, MALFORMED),
    ("alg unknown", {"edit_statement": members(alg=-7000)}, "webauthn_attestation_algorithm_refused"),
    ("alg with SHA-1", {"edit_statement": members(alg=-65535)}, "webauthn_attestation_algorithm_refused"),
    ("alg of another key", {"edit_statement": members(alg=-257)}, KEY),
    ("alg of another curve", {"edit_statement": members(alg=-35)}, KEY),
    ("a weak key", {"edit_certified": parts(key=rsa_key(1024), alg=Algorithm.RS256)}, KEY),
    ("sig a text", {"edit_statement": members(sig="sig")}, MALFORMED),
    ("sig empty", {"edit_statement": members(sig=b"")}, MALFORMED),
    ("sig of something else", {"edit_certified": parts(message=b"something else")}, SIGNATURE),
    ("sig of another key", {"edit_statement": members(sig=OTHER_SIGNATURE)}, SIGNATURE),
    ("sig no DER", {"edit_statement": members(sig=bytes(70))}, SIGNATURE),
    ("ECDAA", {"edit_statement": members(ecdaaKeyId=b"key")}, MALFORMED),
    ("x5c empty", {"edit_statement": members(x5c=[])}, MALFORMED),
    ("x5c no list", {"edit_statement": members(x5c=b"x5c")}, MALFORMED),
    ("x5c of texts", {"edit_statement": members(x5c=["x5c"])}, MALFORMED),
    ("x5c too long", {"edit_statement": lambda found: found.update(x5c=found["x5c"] * 9)}, MALFORMED),
    ("x5c no certificate", {"edit_statement": members(x5c=[b"x5c"])}, "webauthn_certificate_malformed"),
    ("certificate of a CA", {"leaf": {"extensions": A_CA}}, CERTIFICATE),
    ("certificate without constraints", {"leaf": {"extensions": ()}}, CERTIFICATE),
    ("certificate without country", subject(ORGANISATION, UNIT, COMMON), CERTIFICATE),
    ("certificate without organisation", subject(COUNTRY, UNIT, COMMON), CERTIFICATE),
    ("certificate without unit", subject(COUNTRY, ORGANISATION, COMMON), CERTIFICATE),
    (
        "certificate of another unit",
        subject(COUNTRY, ORGANISATION, (NameOID.ORGANIZATIONAL_UNIT_NAME, "Sales"), COMMON),
        CERTIFICATE,
    ),
    ("certificate without common name", subject(COUNTRY, ORGANISATION, UNIT), CERTIFICATE),
    (
        "certificate of another model",
        {"leaf": {"extensions": (*NOT_A_CA, (raw(AAGUID_EXTENSION, b"\x04\x10" + bytes(16)), False))}},
        "webauthn_attestation_aaguid_mismatch",
    ),
    (
        "certificate with a model of odd form",
        {"leaf": {"extensions": (*NOT_A_CA, (raw(AAGUID_EXTENSION, AAGUID), False))}},
        "webauthn_attestation_aaguid_mismatch",
    ),
    (
        "certificate with a critical model",
        {"leaf": {"extensions": (*NOT_A_CA, (raw(AAGUID_EXTENSION, b"\x04\x10" + AAGUID), True))}},
        CERTIFICATE,
    ),
    (
        "authenticator data changed",
        {"edit_object": lambda found: found.update(authData=flipped(36)(found["authData"]))},
        SIGNATURE,
    ),
]

SELF: list[Case] = [
    ("sig of something else", {"edit_statement": members(sig=bytes(70))}, SIGNATURE),
    ("alg of another", {"edit_statement": members(alg=-35)}, KEY),
    (
        "Ed25519 sig cut",
        {"algorithm": -8, "edit_statement": lambda found: found.update(sig=found["sig"][:63])},
        SIGNATURE,
    ),
    (
        "RSA sig cut",
        {"algorithm": -257, "edit_statement": lambda found: found.update(sig=found["sig"][:255])},
        SIGNATURE,
    ),
    (
        "PSS sig of PKCS1",
        {
            "algorithm": -37,
            "edit_statement": lambda found: found.update(sig=rsa_key().sign(b"", padding.PKCS1v15(), SHA256())),
        },
        SIGNATURE,
    ),
]

U2F: list[Case] = [
    ("sig missing", {"edit_statement": without("sig")}, MALFORMED),
    ("x5c missing", {"edit_statement": without("x5c")}, MALFORMED),
    ("two certificates", {"edit_statement": lambda found: found.update(x5c=found["x5c"] * 2)}, MALFORMED),
    ("an algorithm stated", {"edit_statement": members(alg=-7)}, MALFORMED),
    ("sig of something else", {"edit_certified": parts(message=b"something else")}, SIGNATURE),
    ("sig of the credential id changed", {"edit_certified": part("message", flipped(65))}, SIGNATURE),
    ("sig of packed", {"edit_certified": part("message", lambda message: message[1:])}, SIGNATURE),
    ("certificate on P-384", {"edit_certified": parts(key=new_key(Algorithm.ES384), alg=Algorithm.ES384)}, KEY),
    ("certificate with RSA", {"edit_certified": parts(key=rsa_key(), alg=Algorithm.RS256)}, KEY),
    ("credential of another algorithm", {"algorithm": Algorithm.EDDSA}, KEY),
]

CHALLENGE = "webauthn_attestation_challenge_mismatch"


def named(*attributes: tuple[int, str]) -> dict[str, Any]:
    """An AIK certificate whose alternative name has these attributes."""
    directory = x509.Name(
        [x509.NameAttribute(x509.ObjectIdentifier(f"2.23.133.2.{n}"), text) for n, text in attributes]
    )
    names = x509.SubjectAlternativeName([x509.DirectoryName(directory)])
    return {"leaf": {"extensions": (TPM_EXTENSIONS[0], (names, True), TPM_EXTENSIONS[2])}}


def spoilt(**changed: bytes) -> dict[str, Any]:
    """A pubArea with other bytes in one place: ``type``, ``name``, ``symmetric``, ``scheme``, ``curve``, ``kdf``."""
    places = {"type": 0, "name": 2, "symmetric": 42, "scheme": 44, "curve": 46, "kdf": 48}

    def edit(area: bytes) -> bytes:
        for place, value in changed.items():
            area = area[: places[place]] + value + area[places[place] + len(value) :]
        return area

    return {"edit_certified": part("area", edit)}


TPM: list[Case] = [
    ("ver missing", {"edit_statement": without("ver")}, MALFORMED),
    ("ver of TPM 1.2", {"edit_statement": members(ver="1.2")}, MALFORMED),
    ("x5c missing", {"edit_statement": without("x5c")}, MALFORMED),
    ("certInfo missing", {"edit_statement": without("certInfo")}, MALFORMED),
    ("pubArea missing", {"edit_statement": without("pubArea")}, MALFORMED),
    ("pubArea a text", {"edit_statement": members(pubArea="area")}, MALFORMED),
    ("ECDAA", {"edit_statement": members(ecdaaKeyId=b"key")}, MALFORMED),
    ("alg without a hash", {"edit_certified": parts(key=new_key(Algorithm.EDDSA), alg=Algorithm.EDDSA)}, MALFORMED),
    ("sig of something else", {"edit_statement": members(sig=OTHER_SIGNATURE)}, SIGNATURE),
    (
        "certInfo changed",
        {"edit_statement": lambda found: found.update(certInfo=flipped(50)(found["certInfo"]))},
        SIGNATURE,
    ),
    ("magic of another", {"edit_certified": parts(magic=b"\xffTCH")}, MALFORMED),
    ("type of a quote", {"edit_certified": parts(type=b"\x80\x18")}, MALFORMED),
    ("certInfo cut", {"edit_certified": parts(magic=b"\xffTCG\x80\x17\x00\xff", type=b"")}, MALFORMED),
    ("certInfo with more", {"edit_certified": parts(tail=b"\0")}, MALFORMED),
    ("extraData of another", {"edit_certified": parts(extra=bytes(32))}, CHALLENGE),
    ("extraData cut", {"edit_certified": part("extra", cut(1))}, CHALLENGE),
    ("name of another", {"edit_certified": parts(name=b"\x00\x0b" + bytes(32))}, KEY),
    ("name without hash", {"edit_certified": parts(name=b"")}, KEY),
    ("pubArea of another key", {"edit_certified": part("area", flipped(-1))}, KEY),
    ("pubArea of RSA", {"edit_certified": parts(area=public_area({1: 3, -1: b"\x81" * 256}))}, KEY),
    ("pubArea with more", {"edit_certified": part("area", appended(b"\0"))}, MALFORMED),
    ("pubArea cut", {"edit_certified": part("area", cut(1))}, MALFORMED),
    ("pubArea of a hash", spoilt(type=b"\x00\x08"), MALFORMED),
    ("pubArea without a name's hash", spoilt(name=b"\x00\x10"), MALFORMED),
    ("pubArea of a storage key", spoilt(symmetric=b"\x00\x06"), MALFORMED),
    ("pubArea that encrypts", spoilt(scheme=b"\x00\x15"), MALFORMED),
    ("pubArea on another curve", spoilt(curve=b"\x00\x10"), MALFORMED),
    ("pubArea that derives keys", spoilt(kdf=b"\x00\x20"), MALFORMED),
    ("certificate with a subject", {"leaf": {"subject": common_name("TPM")}}, CERTIFICATE),
    ("certificate of a CA", {"leaf": {"extensions": (*A_CA, *TPM_EXTENSIONS[1:])}}, CERTIFICATE),
    ("certificate without purpose", {"leaf": {"extensions": TPM_EXTENSIONS[:2]}}, CERTIFICATE),
    (
        "certificate of another purpose",
        {"leaf": {"extensions": (*TPM_EXTENSIONS[:2], (x509.ExtendedKeyUsage([x509.OID_SERVER_AUTH]), False))}},
        CERTIFICATE,
    ),
    ("certificate without names", {"leaf": {"extensions": (TPM_EXTENSIONS[0], TPM_EXTENSIONS[2])}}, CERTIFICATE),
    ("certificate without manufacturer", named((2, "Model"), (3, "id:13")), CERTIFICATE),
    ("certificate of an odd manufacturer", named((1, "Maker"), (2, "Model"), (3, "id:13")), CERTIFICATE),
    ("certificate without model", named((1, "id:FFFFF1D0"), (3, "id:13")), CERTIFICATE),
    ("certificate without version", named((1, "id:FFFFF1D0"), (2, "Model")), CERTIFICATE),
    (
        "certificate of another model",
        {"leaf": {"extensions": (*TPM_EXTENSIONS, (raw(AAGUID_EXTENSION, b"\x04\x10" + bytes(16)), False))}},
        "webauthn_attestation_aaguid_mismatch",
    ),
]

AUTHORIZATION = "webauthn_attestation_authorization_refused"
IMPORTED = tlv(ORIGIN, tlv(b"\x02", b"\x02"))
DECRYPTS = tlv(PURPOSE, tlv(b"\x31", tlv(b"\x02", b"\x01")))
HARDWARE = AttestationPolicy(rules=StatementRules(demands_trusted_environment=True))


def described(policy: AttestationPolicy | None = None, **lists: bytes) -> dict[str, Any]:
    """A key description with these lists."""

    def edit(ceremony: Registering, found: dict[str, Any]) -> None:
        found["description"] = key_description(found["challenge"], **lists)

    return {"edit_certified": edit} | ({"policy": policy} if policy else {})


ANDROID_KEY: list[Case] = [
    ("sig missing", {"edit_statement": without("sig")}, MALFORMED),
    ("x5c missing", {"edit_statement": without("x5c")}, MALFORMED),
    ("sig of something else", {"edit_certified": parts(message=b"something else")}, SIGNATURE),
    ("key of another", {"edit_certified": parts(key=p256_key())}, KEY),
    ("description missing", {"leaf": {"extensions": NOT_A_CA}}, MALFORMED),
    ("description no DER", {"edit_certified": parts(description=b"\x30\x80")}, MALFORMED),
    ("description with more", {"edit_certified": part("description", appended(b"\x05\x00"))}, MALFORMED),
    ("description an integer", {"edit_certified": parts(description=b"\x02\x01\x01")}, MALFORMED),
    ("description cut", {"edit_certified": parts(description=tlv(b"\x30", b"\x02\x01\x01"))}, MALFORMED),
    ("challenge of another", {"edit_certified": parts(description=key_description(bytes(32)))}, CHALLENGE),
    ("challenge empty", {"edit_certified": parts(description=key_description(b""))}, CHALLENGE),
    (
        "for all applications",
        described(environment=SIGNS + GENERATED + tlv(ALL_APPLICATIONS, b"\x05\x00")),
        AUTHORIZATION,
    ),
    ("for all applications, in software", described(software=tlv(ALL_APPLICATIONS, b"\x05\x00")), AUTHORIZATION),
    ("origin missing", described(environment=SIGNS), AUTHORIZATION),
    ("purpose missing", described(environment=GENERATED), AUTHORIZATION),
    ("nothing stated", described(environment=b""), AUTHORIZATION),
    ("origin imported", described(environment=SIGNS + IMPORTED), AUTHORIZATION),
    ("purpose to decrypt", described(environment=DECRYPTS + GENERATED), AUTHORIZATION),
    (
        "origin imported into hardware, generated in software",
        described(environment=SIGNS + IMPORTED, software=GENERATED),
        AUTHORIZATION,
    ),
    ("only software", described(HARDWARE, environment=b"", software=SIGNS + GENERATED), AUTHORIZATION),
    ("origin not a number", described(environment=SIGNS + tlv(ORIGIN, b"\x05\x00")), MALFORMED),
    ("origin twice", described(environment=SIGNS + tlv(ORIGIN, b"\x02\x01\x00" * 2)), MALFORMED),
    ("origin without digits", described(environment=SIGNS + tlv(ORIGIN, b"\x02\x00")), MALFORMED),
    ("purpose not a set", described(environment=tlv(PURPOSE, b"\x02\x01\x02") + GENERATED), MALFORMED),
    ("list no DER", described(environment=b"\xa1"), MALFORMED),
]

APPLE: list[Case] = [
    ("x5c missing", {"edit_statement": without("x5c")}, MALFORMED),
    ("another member", {"edit_statement": members(sig=b"sig")}, MALFORMED),
    ("nonce missing", {"leaf": {"extensions": NOT_A_CA}}, MALFORMED),
    ("nonce of another", {"edit_certified": parts(nonce=bytes(32))}, CHALLENGE),
    ("nonce cut", {"edit_certified": part("nonce", cut(1))}, CHALLENGE),
    ("nonce of odd form", {"leaf": {"extensions": ((raw(NONCE, b"\x04\x20" + bytes(32)), False),)}}, CHALLENGE),
    ("key of another", {"edit_certified": parts(key=p256_key())}, KEY),
    ("key of another kind", {"edit_certified": parts(key=rsa_key())}, KEY),
    (
        "authenticator data changed",
        {"edit_object": lambda found: found.update(authData=flipped(36)(found["authData"]))},
        CHALLENGE,
    ),
]


def claims(**changed: Any) -> dict[str, Any]:
    """Other claims in the answer of SafetyNet; ``None`` takes one out."""

    def edit(found: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in {**found, **changed}.items() if value is not None}

    return {"edit_certified": part("claims", edit)}


def header(**changed: Any) -> dict[str, Any]:
    """Other members of its header."""
    return {"edit_certified": part("header", lambda found: {**found, **changed})}


STALE = "webauthn_attestation_stale"
SAFETYNET: list[Case] = [
    ("ver missing", {"edit_statement": without("ver")}, MALFORMED),
    ("ver empty", {"edit_statement": members(ver="")}, MALFORMED),
    ("ver a number", {"edit_statement": members(ver=14)}, MALFORMED),
    ("response a text", {"edit_statement": lambda found: found.update(response=found["response"].decode())}, MALFORMED),
    ("response no JWS", {"edit_statement": members(response=b"response")}, MALFORMED),
    ("response not ASCII", {"edit_statement": members(response=b"\xff.\xff.\xff")}, MALFORMED),
    (
        "response too large",
        {"edit_statement": lambda found: found.update(response=found["response"] + b"A" * 40000)},
        MALFORMED,
    ),
    (
        "payload changed",
        {
            "edit_statement": lambda found: found.update(
                response=b".".join((found["response"].split(b".")[0], b"e30", found["response"].split(b".")[2]))
            )
        },
        MALFORMED,
    ),
    ("signature of another", {"edit_certified": parts(key=rsa_key(3072))}, MALFORMED),
    ("alg none", header(alg="none"), MALFORMED),
    ("alg symmetric", header(alg="HS256"), MALFORMED),
    ("alg of another", header(alg="ES256"), MALFORMED),
    ("alg a list", header(alg=["RS256"]), MALFORMED),
    ("critical extensions", header(crit=["b64"], b64=False), MALFORMED),
    ("x5c missing", header(x5c=None), MALFORMED),
    ("x5c empty", header(x5c=[]), MALFORMED),
    ("x5c of numbers", header(x5c=[1]), MALFORMED),
    ("x5c not base64", header(x5c=["?"]), MALFORMED),
    ("x5c no certificate", header(x5c=["AAAA"]), MALFORMED),
    ("nonce missing", claims(nonce=None), CHALLENGE),
    ("nonce of another", claims(nonce="AAAA"), CHALLENGE),
    ("nonce a number", claims(nonce=1), CHALLENGE),
    ("device fails", claims(ctsProfileMatch=False), "webauthn_attestation_device_refused"),
    ("device not judged", claims(ctsProfileMatch=None), "webauthn_attestation_device_refused"),
    ("device judged by text", claims(ctsProfileMatch="true"), "webauthn_attestation_device_refused"),
    ("timestamp missing", claims(timestampMs=None), STALE),
    ("timestamp old", claims(timestampMs=int(NOW * 1000) - 61000), STALE),
    ("timestamp to come", claims(timestampMs=int(NOW * 1000) + 12000), STALE),
    (
        "certificate of another",
        {"leaf": {"subject": common_name("attest.example"), "extensions": NOT_A_CA}},
        CERTIFICATE,
    ),
    (
        "certificate of another by its alternative name",
        {"leaf": {"extensions": (*NOT_A_CA, (x509.SubjectAlternativeName([x509.DNSName("attest.example")]), False))}},
        CERTIFICATE,
    ),
]

COMPOUND: list[Case] = [
    ("a map", {"edit_object": members(attStmt={})}, MALFORMED),
    ("one statement", {"edit_object": lambda found: found.update(attStmt=found["attStmt"][:1])}, MALFORMED),
    ("too many", {"edit_object": lambda found: found.update(attStmt=found["attStmt"] * 5)}, MALFORMED),
    ("no statements inside", {"edit_object": members(attStmt=[1, 2])}, MALFORMED),
    ("format missing", {"edit_statement": lambda found: found[1].pop("fmt")}, MALFORMED),
    ("compound inside", {"edit_statement": lambda found: found[1].update(fmt="compound")}, MALFORMED),
    (
        "unknown inside",
        {"edit_statement": lambda found: found[1].update(fmt="new")},
        "webauthn_attestation_format_unknown",
    ),
    (
        "one does not verify",
        {"edit_statement": lambda found: found[1]["attStmt"].update(sig=OTHER_SIGNATURE)},
        SIGNATURE,
    ),
]

#: The tables by format; the second name is whose statement it is.
TABLES: dict[tuple[str, str], list[Case]] = {
    ("none", "none"): NONE,
    ("packed", "packed"): PACKED,
    ("packed", "self"): SELF,
    ("fido-u2f", "fido-u2f"): U2F,
    ("tpm", "tpm"): TPM,
    ("android-key", "android-key"): ANDROID_KEY,
    ("apple", "apple"): APPLE,
    ("android-safetynet", "android-safetynet"): SAFETYNET,
    ("compound", "compound"): COMPOUND,
}
