"""The test vectors of WebAuthn Level 3 §16: fifteen credentials, registered and used, and the PRF."""

import json
from hashlib import sha256
from hmac import digest
from pathlib import Path
from typing import Any

import pytest
from fido2.ctap2.pin import PinProtocol, PinProtocolV1, PinProtocolV2

from useid_middleware._codec import b64url
from useid_middleware.webauthn.core.attestation.statement import AttestationType, StatementRules
from useid_middleware.webauthn.core.authentication import StoredCredential, verify_authentication
from useid_middleware.webauthn.core.certificates import load_anchors
from useid_middleware.webauthn.core.cose import CREDENTIAL_ALGORITHMS
from useid_middleware.webauthn.core.errors import CeremonyError, UntrustedError
from useid_middleware.webauthn.core.extensions import (
    AuthenticationExtensions,
    PRFValues,
    RegistrationExtensions,
    check_authentication_outputs,
    check_registration_outputs,
    prf_salt,
)
from useid_middleware.webauthn.core.options import (
    Descriptor,
    User,
    UserVerification,
    begin_authentication,
    begin_registration,
)
from useid_middleware.webauthn.core.registration import VerifiedRegistration, verify_registration
from useid_middleware.webauthn.core.relying_party import RelyingParty
from useid_middleware.webauthn.core.response import read_authentication, read_registration
from useid_middleware.webauthn.core.trust import AttestationPolicy

NOW = 1_800_000_000.0
USER = User(id=b"user handle", name="alice")
PARTY = RelyingParty(
    id="example.org",
    name="Example",
    origins=frozenset({"https://example.org"}),
    top_origins=frozenset({"https://example.com"}),
    accepts_cross_origin=True,
)
#: Name, and the type of attestation that the specification's title for it promises.
CREDENTIALS = {
    "none-es256": AttestationType.NONE,
    "packed-self-es256": AttestationType.SELF,
    "none-es256-crossOrigin": AttestationType.NONE,
    "none-es256-topOrigin": AttestationType.NONE,
    "none-es256-long-credential-id": AttestationType.NONE,
    "packed-es256": AttestationType.BASIC,
    "packed-es384": AttestationType.BASIC,
    "packed-es512": AttestationType.BASIC,
    "packed-rs256": AttestationType.BASIC,
    "packed-eddsa": AttestationType.BASIC,
    "packed-ed448": AttestationType.BASIC,
    "tpm-es256": AttestationType.ATT_CA,
    "android-key-es256": AttestationType.BASIC,
    "apple-es256": AttestationType.ANON_CA,
    "fido-u2f-es256": AttestationType.BASIC,
}
#: The vector's key description states neither origin nor purpose, which §8.4 asks for.
RULES = StatementRules(accepts_android_keys_that_do_not_state_origin_and_purpose=True)


@pytest.fixture(scope="module")
def published(vectors: Path) -> dict[str, Any]:
    """The vectors by name; each has the blocks of a registration and an authentication."""
    found: dict[str, Any] = json.loads((vectors / "webauthn_l3_vectors.json").read_text())
    return found


@pytest.fixture(scope="module")
def prf_vectors() -> dict[str, Any]:
    """The published values of the PRF."""
    found: dict[str, Any] = json.loads((Path(__file__).parent / "prf_vectors.json").read_text())
    return found


def register(published: dict[str, Any], name: str, *, rules: StatementRules = RULES) -> VerifiedRegistration:
    """The vector's registration, with its root as the one anchor, and trust demanded."""
    block = published[name]["blocks"][0]
    _, state = begin_registration(
        PARTY,
        USER,
        challenge=bytes.fromhex(block["challenge"]),
        now=NOW,
        algorithms=sorted(CREDENTIAL_ALGORITHMS),
        user_verification=UserVerification.PREFERRED,
    )
    response = read_registration(
        {
            "id": encoded(block["credential_id"]),
            "rawId": encoded(block["credential_id"]),
            "type": "public-key",
            "response": {
                "clientDataJSON": encoded(block["clientDataJSON"]),
                "attestationObject": encoded(block["attestationObject"]),
            },
            "clientExtensionResults": {},
        }
    )
    root = bytes.fromhex(published["attestation-root-cert"]["blocks"][0]["attestation_ca_cert"])
    policy = AttestationPolicy(demands_trust=True, anchors=load_anchors(root), rules=rules)
    return verify_registration(
        response, expected_state=state, expected_party=PARTY, policy=policy, is_known=False, now=NOW + 1
    )


def encoded(hexadecimal: str) -> str:
    return b64url(bytes.fromhex(hexadecimal))


def test_every_published_credential_is_tried(published: dict[str, Any]) -> None:
    assert set(published) == {*CREDENTIALS, "attestation-root-cert"}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_published_registration_verifies_and_so_does_its_attestation(published: dict[str, Any], name: str) -> None:
    registered = register(published, name)
    block = published[name]["blocks"][0]
    assert registered.credential_id.hex() == block["credential_id"]
    assert registered.aaguid.hex() == block["aaguid"]
    assert registered.attestation_type is CREDENTIALS[name]
    assert registered.is_trusted is (CREDENTIALS[name] not in (AttestationType.NONE, AttestationType.SELF))


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_published_assertion_verifies(published: dict[str, Any], name: str) -> None:
    registered = register(published, name)
    block = published[name]["blocks"][1]
    _, state = begin_authentication(
        PARTY,
        challenge=bytes.fromhex(block["challenge"]),
        now=NOW,
        allow=[Descriptor(registered.credential_id)],
        user_verification=UserVerification.PREFERRED,
    )
    response = read_authentication(
        {
            "id": b64url(registered.credential_id),
            "rawId": b64url(registered.credential_id),
            "type": "public-key",
            "response": {
                "clientDataJSON": encoded(block["clientDataJSON"]),
                "authenticatorData": encoded(block["authenticatorData"]),
                "signature": encoded(block["signature"]),
            },
            "clientExtensionResults": {},
        }
    )
    stored = StoredCredential(
        credential_id=registered.credential_id,
        public_key=registered.public_key,
        sign_count=registered.sign_count,
        user_handle=USER.id,
        is_backup_eligible=registered.is_backup_eligible,
    )
    verified = verify_authentication(
        response, expected_state=state, expected_party=PARTY, credential=stored, now=NOW + 1
    )
    assert verified.credential_id == registered.credential_id
    assert verified.top_origin == ("https://example.com" if name.endswith("topOrigin") else "")


def test_the_published_android_key_does_not_state_what_the_specification_asks_for(published: dict[str, Any]) -> None:
    with pytest.raises(CeremonyError) as refused:
        register(published, "android-key-es256", rules=StatementRules())
    assert refused.value.code == "webauthn_attestation_authorization_refused"


def test_without_its_root_a_published_attestation_is_not_trusted(published: dict[str, Any]) -> None:
    other = dict(published)
    leaf = {"attestation_ca_cert": _leaf(published, "apple-es256").hex()}
    other["attestation-root-cert"] = {"blocks": [leaf]}
    with pytest.raises(UntrustedError) as refused:
        register(other, "packed-es256")
    assert refused.value.code == "webauthn_path_untrusted"


def _leaf(published: dict[str, Any], name: str) -> bytes:
    from useid_middleware.webauthn.core.cbor import decode

    value = decode(bytes.fromhex(published[name]["blocks"][0]["attestationObject"]), name="vector")
    assert isinstance(value, dict)
    statement: Any = value["attStmt"]
    leaf: bytes = statement["x5c"][0]
    return leaf


@pytest.mark.parametrize("case", [0, 1, 2])
def test_the_published_prf_maps_to_salts_and_outputs_of_hmac_secret(prf_vectors: dict[str, Any], case: int) -> None:
    vector = prf_vectors["cases"][case]
    protocol: PinProtocol = PinProtocolV2() if vector["pin_protocol"] == 2 else PinProtocolV1()
    secret = bytes.fromhex(vector["shared_secret"])
    inputs = [bytes.fromhex(vector[name]) for name in ("prf_eval_first", "prf_eval_second") if name in vector]
    salts = [prf_salt(each) for each in inputs]
    assert [salt.hex() for salt in salts] == [vector[name] for name in ("salt1", "salt2") if name in vector]
    assert protocol.decrypt(secret, bytes.fromhex(vector["salt_enc"])) == b"".join(salts)
    outputs = [digest(bytes.fromhex(prf_vectors["authenticator_cred_random"]), salt, "sha256") for salt in salts]
    assert protocol.decrypt(secret, bytes.fromhex(vector["output_enc"])) == b"".join(outputs)
    results = {name: b64url(output) for name, output in zip(("first", "second"), outputs, strict=False)}
    checked = check_authentication_outputs(
        AuthenticationExtensions(prf_inputs=PRFValues(*inputs)),
        credential_id=b"any",
        client={"prf": {"results": results}},
        authenticator={"hmac-secret": bytes.fromhex(vector["output_enc"])},
    )
    assert checked.prf_results == PRFValues(*outputs)


CREDENTIAL_ID = sha256(b"WebAuthn PRF test vectors\0").digest()
OUTPUT = sha256(b"WebAuthn PRF test vectors\x01").digest()
ONE = {"first": b64url(OUTPUT)}
TWO = {"first": b64url(OUTPUT), "second": b64url(sha256(OUTPUT).digest())}
EVAL_1 = PRFValues(bytes([1, 2, 3, 4]))
EVAL_2 = PRFValues(bytes([1, 2, 3, 4]), bytes([5, 6, 7, 8]))
BY_CREDENTIAL = AuthenticationExtensions(
    prf_inputs=EVAL_2, prf_by_credential=((CREDENTIAL_ID, PRFValues(bytes([9, 10, 11, 12]))),)
)
SAME_TWICE = AuthenticationExtensions(
    prf_by_credential=((CREDENTIAL_ID, PRFValues(bytes([9, 10, 11, 12]), bytes([9, 10, 11, 12]))),)
)


def test_the_published_inputs_are_written_as_browsers_read_them() -> None:
    assert BY_CREDENTIAL.to_json() == {
        "prf": {
            "eval": {"first": "AQIDBA", "second": "BQYHCA"},
            "evalByCredential": {"e02eZ9lPp0UdkF4vGRO4-NxlhWBkL1FCmsmb1tTfRyE": {"first": "CQoLDA"}},
        }
    }
    assert RegistrationExtensions(prf=True).to_json() == {"prf": {}}
    assert RegistrationExtensions(prf_inputs=EVAL_1).to_json() == {"prf": {"eval": {"first": "AQIDBA"}}}


@pytest.mark.parametrize(
    ("requested", "output", "enabled", "results"),
    [
        (RegistrationExtensions(prf=True), {"enabled": True}, True, None),
        (RegistrationExtensions(prf=True), {"enabled": False}, False, None),
        (RegistrationExtensions(prf_inputs=EVAL_1), {"enabled": True}, True, None),
        (RegistrationExtensions(prf_inputs=EVAL_1), {"enabled": False}, False, None),
        (RegistrationExtensions(prf_inputs=EVAL_1), {"enabled": True, "results": ONE}, True, PRFValues(OUTPUT)),
    ],
)
def test_the_published_outputs_of_a_registration_are_accepted(
    requested: RegistrationExtensions, output: dict[str, Any], enabled: bool, results: PRFValues | None
) -> None:
    outputs = check_registration_outputs(requested, client={"prf": output}, authenticator={"hmac-secret": enabled})
    assert (outputs.prf_enabled, outputs.prf_results) == (enabled, results)


@pytest.mark.parametrize(
    ("requested", "credential_id", "output", "results"),
    [
        (AuthenticationExtensions(prf_inputs=EVAL_1), CREDENTIAL_ID, {}, None),
        (AuthenticationExtensions(prf_inputs=EVAL_1), CREDENTIAL_ID, {"results": ONE}, PRFValues(OUTPUT)),
        (BY_CREDENTIAL, CREDENTIAL_ID, {"results": ONE}, PRFValues(OUTPUT)),
        (BY_CREDENTIAL, b"another", {}, None),
        (BY_CREDENTIAL, b"another", {"results": TWO}, PRFValues(OUTPUT, sha256(OUTPUT).digest())),
        (SAME_TWICE, CREDENTIAL_ID, {"results": {**ONE, "second": b64url(OUTPUT)}}, PRFValues(OUTPUT, OUTPUT)),
    ],
)
def test_the_published_outputs_of_an_authentication_are_accepted(
    requested: AuthenticationExtensions, credential_id: bytes, output: dict[str, Any], results: PRFValues | None
) -> None:
    outputs = check_authentication_outputs(
        requested, credential_id=credential_id, client={"prf": output}, authenticator={}
    )
    assert outputs.prf_results == results
