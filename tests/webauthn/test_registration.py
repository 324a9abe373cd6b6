"""Registrations that hold: every algorithm and every format, flags, extensions, and what is kept of them."""

from dataclasses import replace
from hashlib import sha1
from typing import Any

import pytest
from cryptography import x509

from tests.webauthn.authenticator import (
    AAGUID,
    ANDROID_APP,
    AT,
    BE,
    BS,
    CREDENTIAL_ID,
    FRAMED,
    TRUSTING,
    UP,
    USER,
    UV,
    Authenticating,
    Registering,
)
from tests.webauthn.certificates import NOT_A_CA, root, rsa_key
from tests.webauthn.statements import GENERATED, SIGNS, key_description, new_key, public_area
from useid_middleware._codec import RecordType
from useid_middleware.webauthn.core.attestation.formats import FORMATS
from useid_middleware.webauthn.core.attestation.statement import (
    AAGUID_EXTENSION,
    ATTESTATION_ALGORITHMS,
    AttestationType,
    StatementRules,
)
from useid_middleware.webauthn.core.cose import CREDENTIAL_ALGORITHMS, Algorithm
from useid_middleware.webauthn.core.extensions import (
    AuthenticationExtensions,
    CredentialProtection,
    RegistrationExtensions,
    RegistrationOutputs,
)
from useid_middleware.webauthn.core.options import UserVerification
from useid_middleware.webauthn.core.registration import VerifiedRegistration

ALGORITHMS = sorted(CREDENTIAL_ALGORITHMS)


def test_what_is_kept_of_a_registration_says_whose_credential_it_is_and_how_it_was_made() -> None:
    registered = Registering(flags=UP | UV | AT | BE | BS, sign_count=7).run()
    assert registered.credential_id == CREDENTIAL_ID
    assert registered.user_handle == USER.id
    assert registered.aaguid == AAGUID
    assert registered.algorithm == Algorithm.ES256
    assert registered.sign_count == 7
    assert registered.is_user_verified
    assert registered.is_backup_eligible
    assert registered.is_backed_up
    assert registered.transports == ("hybrid", "usb")
    assert registered.attachment == "cross-platform"
    assert registered.attestation_format == "none"
    assert registered.origin == "https://login.example.org"


def test_what_is_kept_can_be_stored() -> None:
    registered = Registering().run()
    records = RecordType(VerifiedRegistration)
    assert records.decode(records.encode(registered)) == registered


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_of_each_algorithm_is_registered_and_used(algorithm: int) -> None:
    assert Registering(algorithm=algorithm).run().algorithm == algorithm
    assert Authenticating(algorithm=algorithm).run().credential_id == CREDENTIAL_ID


@pytest.mark.parametrize("statement_format", sorted(FORMATS - {"none"}))
def test_a_statement_of_each_format_verifies_and_its_path_is_trusted(statement_format: str) -> None:
    registered = Registering(format=statement_format, policy=TRUSTING).run()
    assert registered.attestation_format == statement_format
    assert registered.is_trusted


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_credential_attests_itself_with_each_algorithm(algorithm: int) -> None:
    registered = Registering(format="packed", statement="self", algorithm=algorithm).run()
    assert registered.attestation_type is AttestationType.SELF
    assert not registered.is_trusted


@pytest.mark.parametrize("algorithm", [Algorithm.ES256, Algorithm.ES384, Algorithm.ES512, Algorithm.RS256])
def test_a_tpm_certifies_keys_of_each_kind_that_it_makes(algorithm: int) -> None:
    assert Registering(format="tpm", algorithm=algorithm, policy=TRUSTING).run().is_trusted


def test_a_tpm_may_name_the_scheme_of_its_key_and_spell_out_the_exponent() -> None:
    def spelled_out(ceremony: Registering, parts: dict[str, Any]) -> None:
        parts["area"] = public_area(ceremony.cose, scheme=b"\x00\x14\x00\x0b", exponent=65537)

    ceremony = Registering(format="tpm", algorithm=Algorithm.RS256, edit_certified=spelled_out, policy=TRUSTING)
    assert ceremony.run().is_trusted


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        (Algorithm.ES384, new_key(Algorithm.ES384)),
        (Algorithm.ES512, new_key(Algorithm.ES512)),
        (Algorithm.EDDSA, new_key(Algorithm.EDDSA)),
        (Algorithm.ED448, new_key(Algorithm.ED448)),
        (Algorithm.RS256, rsa_key()),
        (Algorithm.PS256, rsa_key()),
    ],
)
def test_an_attestation_key_may_be_of_any_algorithm(algorithm: int, key: Any) -> None:
    def other_key(ceremony: Registering, parts: dict[str, Any]) -> None:
        parts |= {"key": key, "alg": algorithm}

    assert Registering(format="packed", edit_certified=other_key, policy=TRUSTING).run().is_trusted


def test_the_model_in_the_attestation_certificate_may_be_stated_if_it_is_the_credentials() -> None:
    model = x509.UnrecognizedExtension(x509.ObjectIdentifier(AAGUID_EXTENSION), b"\x04\x10" + AAGUID)
    ceremony = Registering(format="packed", leaf={"extensions": (*NOT_A_CA, (model, False))}, policy=TRUSTING)
    assert ceremony.run().is_trusted


def test_a_key_that_only_software_guards_is_accepted_unless_the_policy_wants_hardware() -> None:
    def software(ceremony: Registering, parts: dict[str, Any]) -> None:
        parts["description"] = key_description(parts["challenge"], software=SIGNS + GENERATED, environment=b"")

    assert Registering(format="android-key", edit_certified=software, policy=TRUSTING).run().is_trusted


def test_hardware_is_enough_where_the_policy_wants_it() -> None:
    policy = replace(TRUSTING, rules=StatementRules(demands_trusted_environment=True))
    assert Registering(format="android-key", policy=policy).run().is_trusted


def test_an_old_safetynet_certificate_without_alternative_names_is_known_by_its_common_name() -> None:
    assert Registering(format="android-safetynet", leaf={"extensions": NOT_A_CA}, policy=TRUSTING).run().is_trusted


def test_a_path_may_lead_over_an_intermediate_authority() -> None:
    issuing = root().below("Issuing")
    ceremony = Registering(format="packed", issuer=issuing, chain=(issuing.certificate,), policy=TRUSTING)
    assert ceremony.run().is_trusted


def test_without_trust_demanded_a_statement_that_nobody_vouches_for_is_accepted_and_says_so() -> None:
    registered = Registering(format="packed").run()
    assert registered.attestation_type is AttestationType.BASIC
    assert not registered.is_trusted


def test_a_native_app_registers_under_its_own_origin() -> None:
    ceremony = Registering()
    ceremony.client_data["origin"] = ANDROID_APP
    assert ceremony.run().origin == ANDROID_APP


def test_a_frame_in_a_page_that_is_allowed_may_register() -> None:
    ceremony = Registering(party=FRAMED)
    ceremony.client_data |= {"crossOrigin": True, "topOrigin": "https://shop.example"}
    assert ceremony.run().top_origin == "https://shop.example"


def test_token_binding_that_was_only_supported_does_no_harm() -> None:
    ceremony = Registering()
    ceremony.client_data["tokenBinding"] = {"status": "supported"}
    assert ceremony.run().credential_id == CREDENTIAL_ID


def test_a_byte_order_mark_before_the_client_data_is_stripped() -> None:
    assert Registering(edit_client_data=lambda raw: b"\xef\xbb\xbf" + raw).run().credential_id == CREDENTIAL_ID


def test_user_verification_may_be_missing_where_it_is_not_required() -> None:
    ceremony = Registering(flags=UP | AT, state={"user_verification": UserVerification.PREFERRED})
    assert not ceremony.run().is_user_verified


def test_presence_may_be_missing_where_the_browser_creates_the_credential_by_the_way() -> None:
    ceremony = Registering(flags=AT, state={"user_verification": UserVerification.PREFERRED, "is_conditional": True})
    assert ceremony.run().credential_id == CREDENTIAL_ID


def test_a_credential_id_of_1023_bytes_is_accepted() -> None:
    assert Registering(credential_id=bytes(1023)).run().credential_id == bytes(1023)


def test_reserved_flags_are_ignored() -> None:
    assert Registering(flags=UP | UV | AT | 0x02 | 0x20).run().credential_id == CREDENTIAL_ID


def test_unknown_transports_are_kept_and_doubles_are_not() -> None:
    def transports(response: dict[str, Any]) -> None:
        response["response"]["transports"] = ["usb", "smart-card", "telepathy", "usb"]

    assert Registering(edit_response=transports).run().transports == ("smart-card", "telepathy", "usb")


def test_a_browser_that_names_no_transports_and_no_attachment_is_accepted() -> None:
    def nothing(response: dict[str, Any]) -> None:
        del response["response"]["transports"], response["authenticatorAttachment"], response["clientExtensionResults"]

    registered = Registering(edit_response=nothing).run()
    assert (registered.transports, registered.attachment) == ((), "")


def test_an_attachment_that_nobody_knows_counts_as_none() -> None:
    def unknown(response: dict[str, Any]) -> None:
        response["authenticatorAttachment"] = "implanted"

    assert Registering(edit_response=unknown).run().attachment == ""


def test_answers_to_all_extensions_are_told() -> None:
    asked = RegistrationExtensions(
        cred_props=True,
        prf=True,
        cred_protect=CredentialProtection.USER_VERIFICATION_REQUIRED,
        enforces_cred_protect=True,
        min_pin_length=True,
        large_blob="preferred",
        app_id_exclude="https://example.org",
    )
    outputs = Registering(
        state={"extensions": asked},
        extensions={"credProtect": 3, "hmac-secret": True, "minPinLength": 6},
        client_outputs={
            "credProps": {"rk": True},
            "prf": {"enabled": True},
            "largeBlob": {"supported": True},
            "appidExclude": True,
        },
    ).run().extensions  # fmt: skip
    assert outputs == RegistrationOutputs(
        is_discoverable=True,
        prf_enabled=True,
        cred_protect=CredentialProtection.USER_VERIFICATION_REQUIRED,
        min_pin_length=6,
        large_blob_supported=True,
    )


def test_extensions_that_nobody_asked_for_or_knows_are_ignored() -> None:
    outputs = Registering(
        extensions={"credBlob": True, "minPinLength": 6, "hmac-secret": True},
        client_outputs={"telepathy": {"range": 3}, "credProps": {}},
    ).run().extensions  # fmt: skip
    assert outputs == RegistrationOutputs()


def test_an_assertion_in_a_frame_tells_the_page_around_it() -> None:
    ceremony = Authenticating(party=FRAMED)
    ceremony.client_data |= {"crossOrigin": True, "topOrigin": "https://shop.example"}
    assert ceremony.run().top_origin == "https://shop.example"


def test_an_assertion_tells_what_is_to_be_kept() -> None:
    verified = Authenticating(sign_count=9, stored_sign_count=8, flags=UP | UV | BE | BS, is_backup_eligible=True).run()
    assert (verified.user_handle, verified.sign_count, verified.is_backed_up) == (USER.id, 9, True)


def test_a_passkey_names_its_user_where_nobody_was_known() -> None:
    assert Authenticating(allow=()).run().user_handle == USER.id


def test_a_user_who_is_known_need_not_be_named_by_the_authenticator() -> None:
    assert Authenticating(user_handle=b"", expected_user=USER.id, allow=()).run().user_handle == USER.id


def test_a_u2f_credential_is_found_under_its_old_app_id_if_that_was_asked_for() -> None:
    ceremony = Authenticating(
        rp_id="https://example.org/app-id.json",
        state={"extensions": AuthenticationExtensions(app_id="https://example.org/app-id.json")},
        client_outputs={"appid": True},
    )
    assert ceremony.run().extensions.app_id_used


def test_a_large_blob_is_read_or_written_as_asked() -> None:
    read = Authenticating(
        state={"extensions": AuthenticationExtensions(large_blob_read=True)},
        client_outputs={"largeBlob": {"blob": "AQID"}},
    )
    assert read.run().extensions.large_blob == b"\1\2\3"
    written = Authenticating(
        state={"extensions": AuthenticationExtensions(large_blob_write=b"blob")},
        client_outputs={"largeBlob": {"written": True}},
    )
    assert written.run().extensions.large_blob_written is True


def test_sha_1_may_sign_an_attestation_where_the_policy_says_so() -> None:
    def old(ceremony: Registering, parts: dict[str, Any]) -> None:
        parts |= {"key": rsa_key(), "alg": Algorithm.RS1, "extra": sha1(parts["message"]).digest()}

    policy = replace(TRUSTING, rules=StatementRules(algorithms=ATTESTATION_ALGORITHMS | {Algorithm.RS1}))
    assert Registering(format="tpm", edit_certified=old, policy=policy).run().is_trusted
