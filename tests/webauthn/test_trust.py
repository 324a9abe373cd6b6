"""By whom attestations are believed: paths to anchors, and the policy."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA224
from cryptography.hazmat.primitives.serialization import Encoding

from tests.webauthn.authenticator import AAGUID, TRUSTING, Registering
from tests.webauthn.certificates import (
    A_CA,
    DAY,
    MOMENT,
    NOT_A_CA,
    Authority,
    common_name,
    der,
    new_root,
    p256_key,
    root,
    rsa_key,
    usage,
)
from tests.webauthn.statements import packed_statement
from useid_middleware.errors import ConfigurationError
from useid_middleware.webauthn.core.attestation.statement import AttestationType
from useid_middleware.webauthn.core.certificates import load_anchors, read_certificate, verify_path
from useid_middleware.webauthn.core.errors import AttestationError, UntrustedError

Path = list[x509.Certificate]
ANCHORS = (root().certificate,)
TODAY = MOMENT.date()


def leaf(issuer: Authority, **arguments: Any) -> x509.Certificate:
    return issuer.issue(p256_key().public_key(), **arguments)


def refused(path: Path, anchors: tuple[x509.Certificate, ...] = ANCHORS) -> str:
    with pytest.raises(UntrustedError) as error:
        verify_path(path, expected_anchors=anchors, now=MOMENT)
    assert error.value.status_hint == 403
    return error.value.code


def test_a_leaf_below_an_anchor_is_vouched_for() -> None:
    assert verify_path([leaf(root())], expected_anchors=ANCHORS, now=MOMENT) == root().certificate


def test_a_path_may_lead_over_several_authorities_and_end_with_the_anchor() -> None:
    upper = root().below("upper")
    lower = upper.below("lower")
    path = [leaf(lower), lower.certificate, upper.certificate]
    assert verify_path(path, expected_anchors=ANCHORS, now=MOMENT) == root().certificate
    assert verify_path([*path, root().certificate], expected_anchors=ANCHORS, now=MOMENT) == root().certificate


def test_an_intermediate_authority_may_be_the_anchor() -> None:
    middle = root().below("middle")
    assert verify_path([leaf(middle)], expected_anchors=(middle.certificate,), now=MOMENT) == middle.certificate


def test_a_root_that_was_issued_again_may_stand_at_the_end() -> None:
    again = new_root("Tests' attestation root", key=root().key)
    assert verify_path([leaf(root()), again.certificate], expected_anchors=ANCHORS, now=MOMENT) == root().certificate


def test_a_leaf_that_is_itself_an_anchor_is_vouched_for() -> None:
    alone = leaf(new_root("unknown"))
    assert verify_path([alone], expected_anchors=(alone,), now=MOMENT) == alone


def test_a_leaf_with_the_key_of_an_anchor_is_not_that_anchor() -> None:
    stranger = new_root("unknown")
    assert refused([leaf(stranger)], (leaf(stranger),)) == "webauthn_path_untrusted"


def test_an_anchor_is_believed_whatever_its_dates() -> None:
    old = new_root("old", not_after=MOMENT - DAY / 2)
    assert verify_path([leaf(old)], expected_anchors=(old.certificate,), now=MOMENT) == old.certificate


def test_of_two_anchors_with_one_name_the_one_that_signed_vouches() -> None:
    other = new_root("Tests' attestation root")
    anchors = (other.certificate, root().certificate)
    assert verify_path([leaf(root())], expected_anchors=anchors, now=MOMENT) == root().certificate


def test_policies_of_certificates_may_be_critical_since_nobody_demands_any() -> None:
    policy = x509.PolicyInformation(x509.ObjectIdentifier("1.3.6.1.4.1.311.21.31"), None)
    with_policy = leaf(root(), extensions=(*NOT_A_CA, (x509.CertificatePolicies([policy]), True)))
    assert verify_path([with_policy], expected_anchors=ANCHORS, now=MOMENT) == root().certificate


def middle_of(**arguments: Any) -> Path:
    """A path over an intermediate authority that is made like this."""
    middle = root().below("middle", **arguments)
    return [leaf(middle), middle.certificate]


def smuggled() -> Path:
    stranger = new_root("smuggled")
    return [leaf(stranger), stranger.certificate]


def self_issued_by_name() -> Path:
    """An authority that calls itself by its own issuer's name, though another key signed it."""
    stranger = new_root("smuggled")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = stranger.issue(key.public_key(), subject=common_name("smuggled"), extensions=A_CA)
    return [leaf(Authority(key, certificate)), certificate]


def namesake() -> Path:
    stranger = new_root("Tests' attestation root")
    return [leaf(stranger), stranger.certificate]


def behind_the_anchor() -> Path:
    return [leaf(root()), root().certificate, new_root("behind").certificate]


def unordered() -> Path:
    upper = root().below("upper")
    lower = upper.below("lower")
    return [leaf(lower), upper.certificate, lower.certificate]


def too_deep() -> Path:
    upper = root().below("upper", extensions=((x509.BasicConstraints(ca=True, path_length=0), True),))
    lower = upper.below("lower")
    return [leaf(lower), lower.certificate, upper.certificate]


def of_weak_authority() -> Path:
    weak = new_root("weak", key=rsa_key(1024))
    return [leaf(weak)]


NAMES = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.org")], excluded_subtrees=None)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")

PATHS: list[tuple[str, Callable[[], Path], str]] = [
    ("nobody knows the issuer", lambda: [leaf(new_root("unknown"))], "webauthn_path_untrusted"),
    ("a root is smuggled in", smuggled, "webauthn_path_self_signed"),
    ("an authority names itself as issuer", self_issued_by_name, "webauthn_path_self_signed"),
    ("a root with an anchor's name is smuggled in", namesake, "webauthn_path_self_signed"),
    ("the leaf signed itself", lambda: [new_root("alone").certificate], "webauthn_path_untrusted"),
    ("something stands behind the anchor", behind_the_anchor, "webauthn_path_length"),
    ("the path is too long", lambda: [leaf(root())] * 9, "webauthn_path_length"),
    ("the leaf has expired", lambda: [leaf(root(), not_after=MOMENT - DAY / 2)], "webauthn_path_expired"),
    ("the leaf is not valid yet", lambda: [leaf(root(), not_before=MOMENT + DAY / 2)], "webauthn_path_expired"),
    ("an authority has expired", lambda: middle_of(not_after=MOMENT - DAY / 2), "webauthn_path_expired"),
    ("an authority is no CA", lambda: middle_of(extensions=NOT_A_CA), "webauthn_path_issuer"),
    ("an authority says nothing of CAs", lambda: middle_of(extensions=()), "webauthn_path_issuer"),
    (
        "an authority may not sign certificates",
        lambda: middle_of(extensions=(*A_CA, (usage(sign_certificates=False), True))),
        "webauthn_path_issuer",
    ),
    ("an authority has too many below it", too_deep, "webauthn_path_issuer"),
    ("the order is another one", unordered, "webauthn_path_signature"),
    (
        "an authority did not sign",
        lambda: [leaf(root().below("a")), root().below("a").certificate],
        "webauthn_path_signature",
    ),
    ("a leaf is signed with SHA-224", lambda: [leaf(root(), algorithm=SHA224())], "webauthn_path_signature"),
    ("an authority is signed with SHA-224", lambda: middle_of(algorithm=SHA224()), "webauthn_path_signature"),
    (
        "a leaf has an unknown critical extension",
        lambda: [leaf(root(), extensions=((UNKNOWN, True),))],
        "webauthn_path_extension",
    ),
    ("an authority constrains names", lambda: middle_of(extensions=(*A_CA, (NAMES, True))), "webauthn_path_extension"),
]


@pytest.mark.parametrize(("make", "code"), [pytest.param(make, code, id=name) for name, make, code in PATHS])
def test_a_path_is_refused_when(make: Callable[[], Path], code: str) -> None:
    assert refused(make()) == code


def test_an_anchor_with_a_weak_key_vouches_for_nobody() -> None:
    weak = new_root("weak", key=rsa_key(1024))
    assert refused([leaf(weak)], (weak.certificate,)) == "webauthn_path_untrusted"


@pytest.mark.parametrize(
    "extensions", [NOT_A_CA, (), (*A_CA, (usage(sign_certificates=False), True))], ids=["no CA", "silent", "usage"]
)
def test_an_anchor_that_is_no_authority_vouches_for_itself_alone(extensions: Any) -> None:
    anchor = new_root("anchor", extensions=extensions)
    assert refused([leaf(anchor)], (anchor.certificate,)) == "webauthn_path_issuer"


def test_an_anchor_may_be_an_authority_whose_usage_says_so() -> None:
    anchor = new_root("anchor", extensions=(*A_CA, (usage(sign_certificates=True), True)))
    assert verify_path([leaf(anchor)], expected_anchors=(anchor.certificate,), now=MOMENT) == anchor.certificate


def test_an_authority_with_ed25519_may_sign() -> None:
    anchor = new_root("edwards", key=ed25519.Ed25519PrivateKey.generate())
    assert verify_path([leaf(anchor)], expected_anchors=(anchor.certificate,), now=MOMENT) == anchor.certificate


def test_anchors_are_read_from_pem_bundles_and_der() -> None:
    pem = b"".join(each.certificate.public_bytes(Encoding.PEM) for each in (root(), new_root("other")))
    assert load_anchors(pem)[0] == root().certificate
    assert len(load_anchors(pem)) == 2
    assert load_anchors(root().der) == ANCHORS


@pytest.mark.parametrize("data", [b"", b"anchor", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_certificates_is_a_wrong_setting(data: bytes) -> None:
    with pytest.raises(ConfigurationError):
        load_anchors(data)


def code_of(ceremony: Registering) -> str:
    with pytest.raises(UntrustedError) as error:
        ceremony.run()
    assert error.value.status_hint == 403
    return error.value.code


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_certificate_with_a_negative_serial_number_is_none() -> None:
    negative = bytearray(der(leaf(root())))
    # SEQUENCE { SEQUENCE { [0] version, INTEGER serial } }: the first octet of the serial number gets its sign.
    negative[15] |= 0x80
    with pytest.raises(AttestationError) as error:
        read_certificate(bytes(negative))
    assert error.value.code == "webauthn_certificate_malformed"


def test_trust_is_demanded_of_statements_with_certificates() -> None:
    stranger = Registering(format="packed", issuer=new_root("unknown"), policy=TRUSTING)
    assert code_of(stranger) == "webauthn_path_untrusted"


@pytest.mark.parametrize(("statement_format", "statement"), [("none", "none"), ("packed", "self")])
def test_statements_without_certificates_are_refused_where_the_policy_leaves_them_out(
    statement_format: str, statement: str
) -> None:
    attested = frozenset({AttestationType.BASIC, AttestationType.ATT_CA, AttestationType.ANON_CA})
    policy = replace(TRUSTING, accepted_types=attested)
    ceremony = Registering(format=statement_format, statement=statement, policy=policy)
    assert code_of(ceremony) == "webauthn_attestation_type_refused"


def test_a_format_may_be_left_out_also_inside_a_compound() -> None:
    policy = replace(TRUSTING, accepted_formats=frozenset({"compound", "tpm"}))
    assert code_of(Registering(format="compound", policy=policy)) == "webauthn_attestation_format_refused"


def test_models_may_be_limited() -> None:
    limited = replace(TRUSTING, accepted_aaguids=frozenset({AAGUID}))
    assert Registering(format="packed", policy=limited).run().is_trusted
    assert code_of(Registering(format="packed", aaguid=bytes(16), policy=limited)) == "webauthn_aaguid_refused"


def test_one_part_of_a_compound_that_is_vouched_for_is_enough() -> None:
    def with_a_stranger(attestation_object: dict[str, Any]) -> None:
        statement = packed_statement(stranger, attestation_object["authData"], client_data_hash)
        attestation_object["attStmt"].insert(0, {"fmt": "packed", "attStmt": statement})

    ceremony = Registering(format="compound", policy=TRUSTING)
    client_data_hash = sha256(json.dumps(ceremony.client_data).encode()).digest()
    stranger = Registering(format="packed", issuer=new_root("unknown"))
    ceremony.edit_object = with_a_stranger
    assert ceremony.run().is_trusted
