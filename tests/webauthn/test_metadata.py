"""The metadata service: BLOBs that are believed, and what they say of an authenticator."""

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from cryptography import x509
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from tests.webauthn.authenticator import AAGUID, Registering
from tests.webauthn.certificates import (
    DAY,
    MOMENT,
    NOT_A_CA,
    Authority,
    common_name,
    der,
    new_root,
    p256_key,
    root,
)
from useid_middleware._codec import b64url
from useid_middleware.errors import UnavailableError
from useid_middleware.webauthn.core.errors import MetadataError, UntrustedError
from useid_middleware.webauthn.core.metadata import HOST, Metadata, read_metadata
from useid_middleware.webauthn.core.trust import AttestationPolicy

ANCHORS = (root().certificate,)
TODAY = MOMENT.date()
SERVICE = ((x509.SubjectAlternativeName([x509.DNSName(HOST)]), False), *NOT_A_CA)


def entry(**changed: Any) -> dict[str, Any]:
    """An entry for the tests' authenticator, certified and in order."""
    return {
        "aaguid": "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "metadataStatement": {
            "description": "Tests' authenticator",
            "attestationRootCertificates": [b64encode(root().der).decode()],
        },
        "statusReports": [{"status": "FIDO_CERTIFIED_L1", "effectiveDate": "2020-01-01"}],
        "timeOfLastStatusChange": "2020-01-01",
    } | changed


def report(status: str, **changed: Any) -> dict[str, Any]:
    return {"statusReports": [{"status": "FIDO_CERTIFIED"}, {"status": status, **changed}]}


def blob(
    *entries: Any,
    header: dict[str, Any] | None = None,
    claims: dict[str, Any] | None = None,
    issuer: Authority | None = None,
    extensions: Any = SERVICE,
    key: Any = None,
) -> bytes:
    """A metadata BLOB as the service signs it, unless said otherwise."""
    key = key or p256_key()
    certificate = (issuer or root()).issue(key.public_key(), subject=common_name(HOST), extensions=extensions)
    head = {"alg": "ES256", "typ": "JWT", "x5c": [b64encode(der(certificate)).decode()]} | (header or {})
    payload = {"no": 7, "nextUpdate": str(TODAY), "entries": list(entries)} | (claims or {})
    message = ".".join(b64url(json.dumps(part).encode()) for part in (head, payload)).encode()
    signature = JWSRegistry.algorithms["ES256"].sign(message, ECKey.import_key(key))
    return message + b"." + b64url(signature).encode()


def read(data: bytes, **arguments: Any) -> Metadata:
    return read_metadata(data, expected_roots=ANCHORS, now=MOMENT, **arguments)


def test_a_blob_of_the_service_is_read() -> None:
    metadata = read(blob(entry()))
    found = metadata.find(AAGUID, [])
    assert found is not None
    assert (metadata.number, found.description, found.roots) == (7, "Tests' authenticator", ANCHORS)


def test_a_blob_may_have_the_number_of_the_last_one_or_a_higher_one() -> None:
    assert read(blob(), previous_number=7).number == 7
    assert read(blob(), previous_number=6).number == 7


def test_roots_that_cannot_be_read_are_left_out() -> None:
    statement = {"attestationRootCertificates": ["AAAA", "?", b64encode(root().der).decode()]}
    found = read(blob(entry(metadataStatement=statement))).find(AAGUID, [])
    assert found is not None
    assert found.roots == ANCHORS


def test_entries_of_other_protocols_are_left_out() -> None:
    other = {"aaid": "1234#5678", "statusReports": [], "metadataStatement": "unread"}
    assert read(blob(other)).by_aaguid == {}


def changed(data: bytes) -> bytes:
    """The same BLOB with one bit of its signature flipped."""
    head, payload, signature = data.split(b".")
    return b".".join((head, payload, (b"A" if signature[:1] != b"A" else b"B") + signature[1:]))


BLOBS: list[tuple[str, Callable[[], bytes], str]] = [
    ("no token", lambda: b"blob", "metadata_malformed"),
    ("a signature that does not verify", lambda: changed(blob()), "metadata_malformed"),
    ("a signature of the wrong size", lambda: blob()[:-4], "metadata_malformed"),
    ("no algorithm", lambda: blob(header={"alg": "none"}), "metadata_malformed"),
    ("an algorithm of another key", lambda: blob(header={"alg": "RS256"}), "metadata_malformed"),
    ("an algorithm of another curve", lambda: blob(header={"alg": "ES384"}), "metadata_malformed"),
    ("a signer whom nobody knows", lambda: blob(issuer=new_root("unknown")), "metadata_untrusted"),
    (
        "a signer for another host",
        lambda: blob(extensions=((x509.SubjectAlternativeName([x509.DNSName("a.example")]), False),)),
        "metadata_untrusted",
    ),
    ("a signer for no host", lambda: blob(extensions=NOT_A_CA), "metadata_untrusted"),
    ("a lower number", lambda: blob(claims={"no": 6}), "metadata_rolled_back"),
    ("no number", lambda: blob(claims={"no": "7"}), "metadata_malformed"),
    ("no entries", lambda: blob(claims={"entries": {}}), "metadata_malformed"),
    ("a next update that is over", lambda: blob(claims={"nextUpdate": str(TODAY - DAY)}), "metadata_outdated"),
    ("no next update", lambda: blob(claims={"nextUpdate": None}), "metadata_malformed"),
    ("an entry that is no object", lambda: blob(1), "metadata_malformed"),
    ("an AAGUID that is none", lambda: blob(entry(aaguid="AAGUID")), "metadata_malformed"),
    ("an AAGUID that is a number", lambda: blob(entry(aaguid=1)), "metadata_malformed"),
    (
        "key identifiers that are none",
        lambda: blob(entry(attestationCertificateKeyIdentifiers=["?"])),
        "metadata_malformed",
    ),
    (
        "key identifiers that are no list",
        lambda: blob(entry(attestationCertificateKeyIdentifiers="00")),
        "metadata_malformed",
    ),
    ("status reports that are none", lambda: blob(entry(statusReports=[1])), "metadata_malformed"),
    ("a status that is a number", lambda: blob(entry(statusReports=[{"status": 1}])), "metadata_malformed"),
    ("a certificate that is none", lambda: blob(entry(**report("REVOKED", certificate="A"))), "metadata_malformed"),
    ("a date that is none", lambda: blob(entry(**report("REVOKED", effectiveDate="soon"))), "metadata_malformed"),
]


@pytest.mark.parametrize(("make", "code"), [pytest.param(make, code, id=name) for name, make, code in BLOBS])
def test_a_blob_is_refused_with(make: Callable[[], bytes], code: str) -> None:
    with pytest.raises(MetadataError) as error:
        read(make(), previous_number=7)
    assert error.value.code == code


def policy_of(*entries: Any, **changed: Any) -> AttestationPolicy:
    """A policy that trusts whom the metadata name."""
    return AttestationPolicy(demands_trust=True, metadata=read(blob(*entries)), **changed)


def test_a_model_is_vouched_for_by_the_roots_that_the_metadata_name_for_it() -> None:
    assert Registering(format="packed", policy=policy_of(entry())).run().is_trusted


@pytest.mark.parametrize("statement_format", ["packed", "fido-u2f"])
def test_an_authenticator_without_model_is_found_by_its_attestation_key(statement_format: str) -> None:
    identifier = x509.SubjectKeyIdentifier.from_public_key(p256_key().public_key()).digest.hex()
    by_key = entry(attestationCertificateKeyIdentifiers=[identifier])
    del by_key["aaguid"]
    assert Registering(format=statement_format, aaguid=bytes(16), policy=policy_of(by_key)).run().is_trusted


def code_of(ceremony: Registering) -> str:
    with pytest.raises(UntrustedError) as error:
        ceremony.run()
    assert error.value.status_hint == 403
    return error.value.code


@pytest.mark.parametrize("aaguid", [bytes(16), b"A" * 16])
def test_a_root_vouches_for_no_other_model(aaguid: bytes) -> None:
    ceremony = Registering(format="packed", aaguid=aaguid, policy=policy_of(entry()))
    assert code_of(ceremony) == "webauthn_path_untrusted"


@pytest.mark.parametrize(
    "status",
    [
        "REVOKED",
        "USER_VERIFICATION_BYPASS",
        "ATTESTATION_KEY_COMPROMISE",
        "USER_KEY_REMOTE_COMPROMISE",
        "USER_KEY_PHYSICAL_COMPROMISE",
    ],
)
@pytest.mark.parametrize("demands_trust", [True, False])
def test_an_authenticator_that_failed_is_refused_by_every_policy(status: str, demands_trust: bool) -> None:
    policy = replace(policy_of(entry(**report(status))), demands_trust=demands_trust, anchors=ANCHORS)
    assert code_of(Registering(format="packed", policy=policy)) == "webauthn_authenticator_failed"


@pytest.mark.parametrize("status", ["UPDATE_AVAILABLE", "SELF_ASSERTION_SUBMITTED", "FIPS140_CERTIFIED_L3"])
def test_other_reports_are_no_reason_to_refuse(status: str) -> None:
    assert Registering(format="packed", policy=policy_of(entry(**report(status)))).run().is_trusted


def test_a_report_counts_from_its_day() -> None:
    tomorrow = entry(**report("REVOKED", effectiveDate=str(TODAY + DAY)))
    assert Registering(format="packed", policy=policy_of(tomorrow)).run().is_trusted
    today = entry(**report("REVOKED", effectiveDate=str(TODAY)))
    assert code_of(Registering(format="packed", policy=policy_of(today))) == "webauthn_authenticator_failed"


def test_a_report_about_one_certificate_counts_for_whoever_has_it() -> None:
    middle = root().below("batch")
    batch = entry(**report("ATTESTATION_KEY_COMPROMISE", certificate=b64encode(middle.der).decode()))
    policy = policy_of(batch)
    assert Registering(format="packed", policy=policy).run().is_trusted
    ceremony = Registering(format="packed", issuer=middle, chain=(middle.certificate,), policy=policy)
    assert code_of(ceremony) == "webauthn_authenticator_failed"


def test_an_outdated_blob_makes_us_wait_for_a_new_one() -> None:
    policy = policy_of(entry())
    assert policy.metadata is not None
    outdated = replace(policy, metadata=replace(policy.metadata, next_update=date(2020, 1, 1)))
    with pytest.raises(UnavailableError) as error:
        Registering(format="packed", policy=outdated).run()
    assert error.value.code == "webauthn_metadata_outdated"
