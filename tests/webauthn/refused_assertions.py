"""What is refused of assertions."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor

from tests.webauthn.authenticator import AT, BE, BS, ED, FRAMED, UP, UV
from tests.webauthn.certificates import rsa_key
from tests.webauthn.changes import GET, Case, appended, constant, cut, flipped, inside, members, without
from tests.webauthn.statements import cose_key, new_key
from useid_middleware._codec import b64url
from useid_middleware.webauthn.core.cose import Algorithm
from useid_middleware.webauthn.core.extensions import AuthenticationExtensions, PRFValues

OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_SIGNATURE = OTHER_KEY.sign(b"", ec.ECDSA(SHA256()))
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def client(**changed: Any) -> dict[str, Any]:
    return {"client_data": GET | changed}


def with_s_plus_order(signature: bytes) -> bytes:
    """The same Ed25519 signature in another spelling, which a library that does not look would accept."""
    s = int.from_bytes(signature[32:], "little") + ED25519_ORDER
    return signature[:32] + s.to_bytes(32, "little")


MALFORMED = "webauthn_response_malformed"
STRUCTURE: list[Case] = [
    ("type missing", {"edit_response": without("type")}, MALFORMED),
    ("id not rawId", {"edit_response": members(id="AAAA")}, MALFORMED),
    ("response missing", {"edit_response": without("response")}, MALFORMED),
    ("clientDataJSON missing", {"edit_response": inside("response", without("clientDataJSON"))}, MALFORMED),
    ("authenticatorData missing", {"edit_response": inside("response", without("authenticatorData"))}, MALFORMED),
    ("authenticatorData a list", {"edit_response": inside("response", members(authenticatorData=[]))}, MALFORMED),
    ("signature missing", {"edit_response": inside("response", without("signature"))}, MALFORMED),
    ("signature empty", {"edit_response": inside("response", members(signature=""))}, MALFORMED),
    ("userHandle a number", {"edit_response": inside("response", members(userHandle=1))}, MALFORMED),
    ("userHandle empty", {"edit_response": inside("response", members(userHandle=""))}, MALFORMED),
    ("userHandle too long", {"edit_response": inside("response", members(userHandle="A" * 88))}, MALFORMED),
]

CREDENTIAL: list[Case] = [
    ("not allowed", {"allow": (b"another",)}, "webauthn_credential_not_allowed"),
    ("unknown", {"is_registered": False}, "webauthn_credential_unknown"),
    ("another's record", {"stored": {"credential_id": b"another"}}, "webauthn_credential_unknown"),
    ("of another user", {"expected_user": b"another"}, "webauthn_credential_of_other"),
    ("user handle of another", {"user_handle": b"another"}, "webauthn_user_handle_mismatch"),
    ("no user handle", {"user_handle": b"", "allow": ()}, "webauthn_user_handle_missing"),
]

CLIENT_DATA: list[Case] = [
    ("no JSON", {"edit_client_data": constant(b"{")}, "webauthn_client_data_malformed"),
    ("type of a registration", client(type="webauthn.create"), "webauthn_type_mismatch"),
    ("challenge of another", client(challenge=b64url(bytes(32))), "webauthn_challenge_mismatch"),
    ("origin of another", client(origin="https://login.example.net"), "webauthn_origin_mismatch"),
    ("crossOrigin", client(crossOrigin=True), "webauthn_cross_origin_refused"),
    (
        "topOrigin of another",
        client(crossOrigin=True, topOrigin="https://evil.example") | {"party": FRAMED},
        "webauthn_top_origin_mismatch",
    ),
    ("token binding present", client(tokenBinding={"status": "present"}), "webauthn_token_binding_refused"),
]

DATA = "webauthn_authenticator_data_malformed"
ATTESTED = bytes(16) + b"\0\1A" + cbor.encode(cose_key(OTHER_KEY, Algorithm.ES256))
AUTHENTICATOR_DATA: list[Case] = [
    ("too short", {"edit_authenticator_data": cut(1)}, DATA),
    ("trailing byte", {"edit_authenticator_data": appended(b"\0")}, DATA),
    ("extensions announced and missing", {"flags": UP | UV | ED}, "webauthn_cbor_truncated"),
    (
        "attested data",
        {"flags": UP | UV | AT, "edit_authenticator_data": appended(ATTESTED)},
        "webauthn_attested_data_unexpected",
    ),
    ("rp id of another", {"rp_id": "example.net"}, "webauthn_rp_id_mismatch"),
    ("not present", {"flags": UV}, "webauthn_user_not_present"),
    ("not verified", {"flags": UP}, "webauthn_user_not_verified"),
    ("backed up, but not eligible", {"flags": UP | UV | BS}, "webauthn_backup_flags"),
    ("eligible now", {"flags": UP | UV | BE}, "webauthn_backup_eligibility_changed"),
    ("eligible no more", {"is_backup_eligible": True}, "webauthn_backup_eligibility_changed"),
    ("counter the same", {"sign_count": 7, "stored_sign_count": 7}, "webauthn_sign_count"),
    ("counter lower", {"sign_count": 6, "stored_sign_count": 7}, "webauthn_sign_count"),
    ("counter gone", {"sign_count": 0, "stored_sign_count": 7}, "webauthn_sign_count"),
]

INVALID = "webauthn_signature_invalid"
SIGNATURE: list[Case] = [
    ("of another key", {"edit_signature": constant(OTHER_SIGNATURE)}, INVALID),
    ("of another ceremony", {"edit_signed": flipped(-1)}, INVALID),
    ("of other authenticator data", {"edit_signed": flipped(36)}, INVALID),
    ("without client data", {"edit_signed": cut(32)}, INVALID),
    ("cut", {"edit_signature": cut(1)}, INVALID),
    ("with more", {"edit_signature": appended(b"\0")}, INVALID),
    ("all zero", {"edit_signature": constant(bytes(72))}, INVALID),
    ("zero numbers", {"edit_signature": constant(bytes.fromhex("3006020100020100"))}, INVALID),
    ("of another kind", {"edit_signature": constant(bytes(64))}, INVALID),
    ("Ed25519 changed", {"algorithm": -8, "edit_signature": flipped(0)}, INVALID),
    ("Ed25519 cut", {"algorithm": -8, "edit_signature": cut(1)}, INVALID),
    ("Ed25519 in another spelling", {"algorithm": -8, "edit_signature": with_s_plus_order}, INVALID),
    ("Ed448 changed", {"algorithm": -53, "edit_signature": flipped(0)}, INVALID),
    ("RSA changed", {"algorithm": -257, "edit_signature": flipped(-1)}, INVALID),
    ("PS256 by PKCS1", {"algorithm": -37, "stored": {"public_key": cbor.encode(cose_key(rsa_key(), -257))}}, INVALID),
    ("P-384 key instead", {"stored": {"public_key": cbor.encode(cose_key(new_key(-35), -35))}}, INVALID),
]

WRONG = "webauthn_extension_malformed"
UNSOLICITED = "webauthn_extension_unsolicited"
ONE = {"state": {"extensions": AuthenticationExtensions(prf_inputs=PRFValues(b"1"))}}
A = b64url(b"A" * 32)
EXTENSIONS: list[Case] = [
    ("appid unasked", {"client_outputs": {"appid": True}}, UNSOLICITED),
    ("appid a text", {"client_outputs": {"appid": "yes"}}, WRONG),
    (
        "appid used and denied",
        {"rp_id": "https://a.example", "state": {"extensions": AuthenticationExtensions(app_id="https://a.example")}},
        "webauthn_rp_id_mismatch",
    ),
    (
        "appid said and not used",
        {
            "state": {"extensions": AuthenticationExtensions(app_id="https://a.example")},
            "client_outputs": {"appid": True},
        },
        "webauthn_rp_id_mismatch",
    ),
    ("prf.enabled", {"client_outputs": {"prf": {"enabled": True}}}, UNSOLICITED),
    ("prf.results unasked", {"client_outputs": {"prf": {"results": {"first": A}}}}, UNSOLICITED),
    ("prf.results without first", ONE | {"client_outputs": {"prf": {"results": {}}}}, WRONG),
    ("prf.results too long", ONE | {"client_outputs": {"prf": {"results": {"first": A + A}}}}, WRONG),
    ("prf.results a number", ONE | {"client_outputs": {"prf": {"results": {"first": 1}}}}, WRONG),
    ("hmac-secret of a registration", {"extensions": {"hmac-secret": True}}, WRONG),
    ("hmac-secret of odd size", {"extensions": {"hmac-secret": bytes(33)}}, WRONG),
    ("largeBlob a text", {"client_outputs": {"largeBlob": "blob"}}, WRONG),
    ("largeBlob.blob unasked", {"client_outputs": {"largeBlob": {"blob": "AAAA"}}}, UNSOLICITED),
    ("largeBlob.written unasked", {"client_outputs": {"largeBlob": {"written": True}}}, UNSOLICITED),
    (
        "largeBlob.blob not base64url",
        {
            "state": {"extensions": AuthenticationExtensions(large_blob_read=True)},
            "client_outputs": {"largeBlob": {"blob": "?"}},
        },
        WRONG,
    ),
]

TABLES: dict[str, list[Case]] = {
    "structure": STRUCTURE,
    "credential": CREDENTIAL,
    "client data": CLIENT_DATA,
    "authenticator data": AUTHENTICATOR_DATA,
    "signature": SIGNATURE,
    "extensions": EXTENSIONS,
}
