"""What is refused of registrations before their attestation: structure, client data, CBOR, authenticator data, keys."""

from typing import Any

from tests.webauthn.authenticator import ANDROID_APP, AT, BS, ED, FRAMED, UP, UV
from tests.webauthn.changes import (
    CREATE,
    Case,
    appended,
    constant,
    cut,
    inside,
    members,
    swapped,
    without,
)
from useid_middleware._codec import b64url
from useid_middleware.webauthn.core.cose import ED448_PRIME
from useid_middleware.webauthn.core.extensions import CredentialProtection, PRFValues, RegistrationExtensions

SMALL_RSA = {1: 3, 3: -257, -1: (2**1023 + 1).to_bytes(128, "big"), -2: b"\x01\x00\x01"}
IDENTITY = (1).to_bytes(32, "little")
#: A point of order eight (RFC 8032's curve); its signatures can be made without its key.
ORDER_EIGHT = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


def okp(x: bytes, *, alg: int = -8, crv: int = 6) -> dict[int, Any]:
    return {1: 1, 3: alg, -1: crv, -2: x}


def client(**changed: Any) -> dict[str, Any]:
    return {"client_data": CREATE | changed}


def client_without(name: str) -> dict[str, Any]:
    return {"client_data": {key: value for key, value in CREATE.items() if key != name}}


MALFORMED = "webauthn_response_malformed"
STRUCTURE: list[Case] = [
    ("type missing", {"edit_response": without("type")}, MALFORMED),
    ("type of another kind", {"edit_response": members(type="password")}, MALFORMED),
    ("id missing", {"edit_response": without("id")}, MALFORMED),
    ("id not base64url", {"edit_response": members(id="?", rawId="?")}, MALFORMED),
    ("id not rawId", {"edit_response": members(id="AAAA")}, MALFORMED),
    ("rawId missing", {"edit_response": without("rawId")}, MALFORMED),
    ("rawId a number", {"edit_response": members(rawId=7)}, MALFORMED),
    ("rawId empty", {"edit_response": members(id="", rawId="")}, MALFORMED),
    ("rawId padded", {"edit_response": members(id="AA==", rawId="AA==")}, MALFORMED),
    ("rawId with spare bits", {"edit_response": members(id="AB", rawId="AB")}, MALFORMED),
    ("rawId not ASCII", {"edit_response": members(id="ÄÄÄÄ", rawId="ÄÄÄÄ")}, MALFORMED),
    ("rawId too long", {"edit_response": members(id="A" * 1368, rawId="A" * 1368)}, MALFORMED),
    ("rawId of another", {"edit_response": members(id="AAAA", rawId="AAAA")}, "webauthn_credential_id_mismatch"),
    ("response missing", {"edit_response": without("response")}, MALFORMED),
    ("response a list", {"edit_response": members(response=[])}, MALFORMED),
    ("clientDataJSON missing", {"edit_response": inside("response", without("clientDataJSON"))}, MALFORMED),
    ("clientDataJSON null", {"edit_response": inside("response", members(clientDataJSON=None))}, MALFORMED),
    ("attestationObject missing", {"edit_response": inside("response", without("attestationObject"))}, MALFORMED),
    ("attestationObject empty", {"edit_response": inside("response", members(attestationObject=""))}, MALFORMED),
    (
        "attestationObject too large",
        {"edit_response": inside("response", members(attestationObject="A" * (96 * 1024 + 4)))},
        MALFORMED,
    ),
    ("attachment a number", {"edit_response": members(authenticatorAttachment=1)}, MALFORMED),
    ("transports a text", {"edit_response": inside("response", members(transports="usb"))}, MALFORMED),
    ("transports of numbers", {"edit_response": inside("response", members(transports=[1]))}, MALFORMED),
    ("transports of odd names", {"edit_response": inside("response", members(transports=["<usb>"]))}, MALFORMED),
    ("too many transports", {"edit_response": inside("response", members(transports=["usb"] * 17))}, MALFORMED),
    ("extension results a list", {"edit_response": members(clientExtensionResults=[])}, MALFORMED),
    ("credential known", {"is_known": True}, "webauthn_credential_known"),
]

MALFORMED = "webauthn_client_data_malformed"
CLIENT_DATA: list[Case] = [
    ("no JSON", {"edit_client_data": constant(b"{")}, MALFORMED),
    ("not an object", {"edit_client_data": constant(b"[]")}, MALFORMED),
    ("not UTF-8", {"edit_client_data": constant(b'{"type":"\xff"}')}, MALFORMED),
    ("deeply nested", {"edit_client_data": constant(b"[" * 9999)}, MALFORMED),
    ("not a number", {"edit_client_data": constant(b'{"a":NaN}')}, MALFORMED),
    ("two challenges", {"edit_client_data": swapped(b"{", b'{"challenge":"AAAA",')}, MALFORMED),
    ("too large", {"edit_client_data": appended(b" " * 16384)}, MALFORMED),
    ("type missing", client_without("type"), MALFORMED),
    ("type a number", client(type=1), MALFORMED),
    ("type of an assertion", client(type="webauthn.get"), "webauthn_type_mismatch"),
    ("type empty", client(type=""), "webauthn_type_mismatch"),
    ("type in another case", client(type="WebAuthn.Create"), "webauthn_type_mismatch"),
    ("challenge missing", client_without("challenge"), MALFORMED),
    ("challenge a number", client(challenge=1), MALFORMED),
    ("challenge empty", client(challenge=""), "webauthn_challenge_mismatch"),
    ("challenge of another", client(challenge=b64url(bytes(32))), "webauthn_challenge_mismatch"),
    ("challenge padded", client(challenge=CREATE["challenge"] + "="), "webauthn_challenge_mismatch"),
    ("challenge not ASCII", client(challenge="é\ud800"), "webauthn_challenge_mismatch"),
    ("origin missing", client_without("origin"), MALFORMED),
    ("origin null", client(origin=None), MALFORMED),
    ("origin of another", client(origin="https://login.example.net"), "webauthn_origin_mismatch"),
    ("origin of another port", client(origin="https://login.example.org:8443"), "webauthn_origin_mismatch"),
    ("origin over http", client(origin="http://login.example.org"), "webauthn_origin_mismatch"),
    ("origin of a subdomain", client(origin="https://evil.login.example.org"), "webauthn_origin_mismatch"),
    ("origin of the rp id", client(origin="https://example.org"), "webauthn_origin_mismatch"),
    ("origin with a path", client(origin="https://login.example.org/"), "webauthn_origin_mismatch"),
    ("origin of another app", client(origin=ANDROID_APP[:-1] + "B"), "webauthn_origin_mismatch"),
    ("origin opaque", client(origin="null"), "webauthn_origin_mismatch"),
    ("crossOrigin a text", client(crossOrigin="false"), MALFORMED),
    ("crossOrigin null", client(crossOrigin=None), MALFORMED),
    ("crossOrigin", client(crossOrigin=True), "webauthn_cross_origin_refused"),
    ("topOrigin a number", client(topOrigin=1), MALFORMED),
    ("topOrigin", client(topOrigin="https://shop.example"), "webauthn_top_origin_mismatch"),
    (
        "topOrigin without crossOrigin",
        client(topOrigin="https://shop.example") | {"party": FRAMED},
        "webauthn_top_origin_mismatch",
    ),
    (
        "topOrigin of another",
        client(crossOrigin=True, topOrigin="https://evil.example") | {"party": FRAMED},
        "webauthn_top_origin_mismatch",
    ),
    (
        "topOrigin empty",
        client(crossOrigin=True, topOrigin="") | {"party": FRAMED},
        "webauthn_top_origin_mismatch",
    ),
    (
        "token binding present",
        client(tokenBinding={"status": "present", "id": "AAAA"}),
        "webauthn_token_binding_refused",
    ),
    ("token binding a text", client(tokenBinding="supported"), "webauthn_token_binding_refused"),
    ("token binding without status", client(tokenBinding={}), "webauthn_token_binding_refused"),
]

MALFORMED = "webauthn_attestation_object_malformed"
NOT_CANONICAL = "webauthn_cbor_not_canonical"
ATTESTATION_OBJECT: list[Case] = [
    ("no map", {"edit_encoded": constant(b"\x80")}, MALFORMED),
    ("fmt missing", {"edit_object": without("fmt")}, MALFORMED),
    ("attStmt missing", {"edit_object": without("attStmt")}, MALFORMED),
    ("authData missing", {"edit_object": without("authData")}, MALFORMED),
    ("another member", {"edit_object": members(epAtt=True)}, MALFORMED),
    ("authData a text", {"edit_object": members(authData="A" * 37)}, MALFORMED),
    ("fmt unknown", {"edit_object": members(fmt="packed2")}, "webauthn_attestation_format_unknown"),
    ("fmt in another case", {"edit_object": members(fmt="None")}, "webauthn_attestation_format_unknown"),
    ("fmt a number", {"edit_object": members(fmt=1)}, "webauthn_attestation_format_unknown"),
    ("fmt empty", {"edit_object": members(fmt="")}, "webauthn_attestation_format_unknown"),
    ("trailing byte", {"edit_encoded": appended(b"\0")}, "webauthn_cbor_trailing"),
    ("cut", {"edit_encoded": cut(1)}, "webauthn_cbor_truncated"),
    ("cut in a length", {"edit_encoded": constant(b"\xb9\x00")}, "webauthn_cbor_truncated"),
    ("map of indefinite length", {"edit_encoded": lambda data: b"\xbf" + data[1:] + b"\xff"}, NOT_CANONICAL),
    ("text of indefinite length", {"edit_encoded": swapped(b"\x63fmt", b"\x7f\x63fmt\xff")}, NOT_CANONICAL),
    ("a break alone", {"edit_encoded": constant(b"\xff")}, NOT_CANONICAL),
    ("length too long", {"edit_encoded": swapped(b"\x63fmt", b"\x78\x03fmt")}, NOT_CANONICAL),
    ("length far too long", {"edit_encoded": swapped(b"\x63fmt", b"\x7a\0\0\0\x03fmt")}, NOT_CANONICAL),
    (
        "keys out of order",
        {"edit_encoded": constant(b"\xa3\x67attStmt\xa0\x63fmt\x64none\x68authData\x40")},
        NOT_CANONICAL,
    ),
    (
        "two formats",
        {"edit_encoded": constant(b"\xa3\x63fmt\x64none\x63fmt\x64none\x67attStmt\xa0")},
        "webauthn_cbor_duplicate_key",
    ),
    ("a reserved length", {"edit_encoded": constant(b"\xbc")}, "webauthn_cbor_type"),
    ("a tag", {"edit_encoded": lambda data: b"\xc0" + data}, "webauthn_cbor_type"),
    ("a float", {"edit_encoded": constant(b"\xa1\x63fmt\xf9\x3c\x00")}, "webauthn_cbor_type"),
    ("a simple value", {"edit_encoded": constant(b"\xa1\x63fmt\xf7")}, "webauthn_cbor_type"),
    ("text not UTF-8", {"edit_encoded": constant(b"\xa1\x63\xff\xff\xff\x00")}, "webauthn_cbor_type"),
    ("a boolean as a key", {"edit_encoded": constant(b"\xa1\xf5\x00")}, "webauthn_cbor_type"),
    ("bytes as a key", {"edit_encoded": constant(b"\xa1\x41a\x00")}, "webauthn_cbor_type"),
    ("deeply nested", {"edit_encoded": constant(b"\x81" * 4096)}, "webauthn_cbor_too_deep"),
    ("a huge array", {"edit_encoded": constant(b"\x9b" + b"\xff" * 8)}, "webauthn_cbor_truncated"),
]

MALFORMED = "webauthn_authenticator_data_malformed"
AUTHENTICATOR_DATA: list[Case] = [
    ("too short", {"edit_object": members(authData=bytes(36))}, MALFORMED),
    ("too long", {"edit_object": members(authData=bytes(16 * 1024 + 1))}, MALFORMED),
    ("trailing bytes", {"edit_authenticator_data": appended(b"\0")}, MALFORMED),
    ("key missing", {"edit_cose_key": constant(b"")}, "webauthn_cbor_truncated"),
    ("key cut", {"edit_cose_key": cut(1)}, "webauthn_cbor_truncated"),
    ("credential id cut", {"edit_authenticator_data": lambda data: data[:60]}, MALFORMED),
    ("AAGUID cut", {"edit_authenticator_data": lambda data: data[:50]}, MALFORMED),
    ("attested data announced and missing", {"edit_authenticator_data": lambda data: data[:37]}, MALFORMED),
    (
        "attested data not announced",
        {"edit_authenticator_data": swapped(b"\x45" + bytes(4), b"\x05" + bytes(4))},
        MALFORMED,
    ),
    ("no attested data", {"flags": UP | UV}, "webauthn_attested_data_missing"),
    (
        "credential id empty",
        {"credential_id": b"", "edit_response": members(id="AA", rawId="AA")},
        "webauthn_credential_id_size",
    ),
    (
        "credential id of 1024 bytes",
        {"credential_id": bytes(1024), "edit_response": members(id="AA", rawId="AA")},
        "webauthn_credential_id_size",
    ),
    ("extensions announced and missing", {"flags": UP | UV | AT | ED}, "webauthn_cbor_truncated"),
    ("extensions not announced", {"edit_authenticator_data": appended(b"\xa0")}, MALFORMED),
    ("extensions a list", {"flags": UP | UV | AT | ED, "edit_authenticator_data": appended(b"\x80")}, MALFORMED),
    ("extensions by number", {"flags": UP | UV | AT | ED, "edit_authenticator_data": appended(b"\xa1\1\1")}, MALFORMED),
    ("rp id of another", {"rp_id": "example.net"}, "webauthn_rp_id_mismatch"),
    ("rp id of the origin", {"rp_id": "login.example.org"}, "webauthn_rp_id_mismatch"),
    ("not present", {"flags": UV | AT}, "webauthn_user_not_present"),
    ("not verified", {"flags": UP | AT}, "webauthn_user_not_verified"),
    ("backed up, but not eligible", {"flags": UP | UV | AT | BS}, "webauthn_backup_flags"),
]

MALFORMED = "webauthn_key_malformed"
REFUSED = "webauthn_key_refused"
ES256_KEY = {1: 2, 3: -7, -1: 1, -2: bytes(32), -3: bytes(32)}
ALGORITHMS: list[Case] = [
    ("not asked for", {"algorithm": -7, "state": {"algorithms": (-8, -257)}}, "webauthn_algorithm_refused"),
    ("SHA-1", {"cose": {1: 3, 3: -65535, -1: b"\x80" * 256, -2: b"\x01\x00\x01"}}, "webauthn_algorithm_refused"),
    ("unknown", {"cose": ES256_KEY | {3: -7000}}, "webauthn_algorithm_refused"),
    ("missing", {"cose": {label: value for label, value in ES256_KEY.items() if label != 3}}, MALFORMED),
    ("a text", {"cose": ES256_KEY | {3: "ES256"}}, MALFORMED),
    ("key not a map", {"edit_cose_key": constant(b"\x80")}, MALFORMED),
    ("type of another", {"cose": ES256_KEY | {1: 1}}, MALFORMED),
    ("type a boolean", {"cose": okp(bytes(32)) | {1: True}}, MALFORMED),
    ("curve of another", {"cose": ES256_KEY | {-1: 2}}, MALFORMED),
    ("curve a text", {"cose": ES256_KEY | {-1: "P-256"}}, MALFORMED),
    ("another label", {"cose": ES256_KEY | {2: b"kid"}}, MALFORMED),
    ("y missing", {"cose": {label: value for label, value in ES256_KEY.items() if label != -3}}, MALFORMED),
    ("y a sign", {"cose": ES256_KEY | {-3: True}}, MALFORMED),
    ("x too short", {"cose": ES256_KEY | {-2: bytes(31)}}, MALFORMED),
    ("x too long", {"cose": ES256_KEY | {-2: bytes(33)}}, MALFORMED),
    ("off the curve", {"cose": ES256_KEY | {-2: bytes(31) + b"\x01", -3: bytes(31) + b"\x01"}}, REFUSED),
    ("at zero", {"cose": ES256_KEY}, REFUSED),
    ("beyond the field", {"cose": ES256_KEY | {-2: b"\xff" * 32}}, REFUSED),
    ("Ed25519 too short", {"cose": okp(bytes(31))}, MALFORMED),
    ("Ed25519 identity", {"cose": okp(IDENTITY)}, REFUSED),
    ("Ed25519 of order two", {"cose": okp((2**255 - 20).to_bytes(32, "little"))}, REFUSED),
    ("Ed25519 of order four", {"cose": okp(bytes(32))}, REFUSED),
    ("Ed25519 of order eight", {"cose": okp(ORDER_EIGHT)}, REFUSED),
    ("Ed25519 in another spelling", {"cose": okp((2**255 - 18).to_bytes(32, "little"))}, REFUSED),
    ("Ed25519 off the curve", {"cose": okp((2).to_bytes(32, "little"))}, REFUSED),
    ("Ed448 of order four", {"cose": okp(bytes(57), alg=-53, crv=7)}, REFUSED),
    ("Ed448 identity", {"cose": okp((1).to_bytes(57, "little"), alg=-53, crv=7)}, REFUSED),
    ("Ed448 of order two", {"cose": okp((ED448_PRIME - 1).to_bytes(57, "little"), alg=-53, crv=7)}, REFUSED),
    ("Ed448 in another spelling", {"cose": okp((ED448_PRIME + 3).to_bytes(57, "little"), alg=-53, crv=7)}, REFUSED),
    ("Ed448 under EdDSA", {"cose": okp(bytes(57), crv=7)}, MALFORMED),
    ("RSA of 1024 bits", {"cose": SMALL_RSA}, REFUSED),
    ("RSA with an even modulus", {"cose": SMALL_RSA | {-1: b"\x80" * 256}}, REFUSED),
    ("RSA with exponent one", {"cose": SMALL_RSA | {-1: b"\x81" * 256, -2: b"\x01"}}, REFUSED),
    ("RSA with an even exponent", {"cose": SMALL_RSA | {-1: b"\x81" * 256, -2: b"\x04"}}, REFUSED),
    ("RSA with a huge exponent", {"cose": SMALL_RSA | {-1: b"\x81" * 256, -2: b"\x81" * 5}}, REFUSED),
    ("RSA with a leading zero", {"cose": SMALL_RSA | {-1: b"\0" + b"\x81" * 256}}, MALFORMED),
    ("RSA without a modulus", {"cose": SMALL_RSA | {-1: b""}}, MALFORMED),
    (
        "key with labels out of order",
        {"edit_cose_key": constant(b"\xa5\x03\x26\x01\x02\x20\x01\x21\x40\x22\x40")},
        NOT_CANONICAL,
    ),
]

CRED_PROTECT = RegistrationExtensions(
    cred_protect=CredentialProtection.USER_VERIFICATION_REQUIRED, enforces_cred_protect=True
)
MALFORMED = "webauthn_extension_malformed"
UNSOLICITED = "webauthn_extension_unsolicited"
TWO_INPUTS = RegistrationExtensions(prf_inputs=PRFValues(b"1", b"2"))
SAME_INPUTS = RegistrationExtensions(prf_inputs=PRFValues(b"1", b"1"))
A, B = b64url(b"A" * 32), b64url(b"B" * 32)


def prf(asked: RegistrationExtensions, **results: Any) -> dict[str, Any]:
    return {"state": {"extensions": asked}, "client_outputs": {"prf": {"enabled": True, "results": results}}}


EXTENSIONS: list[Case] = [
    ("credProps a boolean", {"client_outputs": {"credProps": True}}, MALFORMED),
    ("credProps.rk a text", {"client_outputs": {"credProps": {"rk": "true"}}}, MALFORMED),
    ("appidExclude unasked", {"client_outputs": {"appidExclude": True}}, UNSOLICITED),
    ("appidExclude a text", {"client_outputs": {"appidExclude": "yes"}}, MALFORMED),
    ("prf a boolean", {"client_outputs": {"prf": True}}, MALFORMED),
    ("prf without enabled", {"client_outputs": {"prf": {}}}, MALFORMED),
    ("prf.enabled a text", {"client_outputs": {"prf": {"enabled": "true"}}}, MALFORMED),
    ("prf.results unasked", prf(RegistrationExtensions(prf=True), first=A), UNSOLICITED),
    ("prf.results a list", {"client_outputs": {"prf": {"enabled": True, "results": []}}}, MALFORMED),
    ("prf.results without first", prf(TWO_INPUTS, second=A), MALFORMED),
    ("prf.results without second", prf(TWO_INPUTS, first=A), MALFORMED),
    (
        "prf.results with more than asked",
        prf(RegistrationExtensions(prf_inputs=PRFValues(b"1")), first=A, second=B),
        MALFORMED,
    ),
    ("prf.results too short", prf(TWO_INPUTS, first=A, second="AAAA"), MALFORMED),
    ("prf.results not base64url", prf(TWO_INPUTS, first=A, second="?"), MALFORMED),
    ("prf.results differ for equal inputs", prf(SAME_INPUTS, first=A, second=B), MALFORMED),
    ("hmac-secret of an assertion", {"extensions": {"hmac-secret": bytes(32)}}, MALFORMED),
    ("credProtect a text", {"extensions": {"credProtect": "3"}}, MALFORMED),
    ("credProtect zero", {"extensions": {"credProtect": 0}}, MALFORMED),
    ("credProtect four", {"extensions": {"credProtect": 4}}, MALFORMED),
    ("credProtect missing", {"state": {"extensions": CRED_PROTECT}}, "webauthn_cred_protect_missing"),
    (
        "credProtect less than asked",
        {"state": {"extensions": CRED_PROTECT}, "extensions": {"credProtect": 2}},
        "webauthn_cred_protect_missing",
    ),
    ("minPinLength a text", {"extensions": {"minPinLength": "4"}}, MALFORMED),
    ("minPinLength three", {"extensions": {"minPinLength": 3}}, MALFORMED),
    ("largeBlob a boolean", {"client_outputs": {"largeBlob": True}}, MALFORMED),
    ("largeBlob.supported a text", {"client_outputs": {"largeBlob": {"supported": "yes"}}}, MALFORMED),
    ("largeBlob.blob", {"client_outputs": {"largeBlob": {"blob": "AAAA"}}}, UNSOLICITED),
    ("largeBlob.written", {"client_outputs": {"largeBlob": {"written": True}}}, UNSOLICITED),
]

TABLES: dict[str, list[Case]] = {
    "structure": STRUCTURE,
    "client data": CLIENT_DATA,
    "attestation object": ATTESTATION_OBJECT,
    "authenticator data": AUTHENTICATOR_DATA,
    "algorithms": ALGORITHMS,
    "extensions": EXTENSIONS,
}
