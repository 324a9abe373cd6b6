"""The beginnings of ceremonies: options as browsers read them, states as stores keep them, and settings refused."""

from typing import Any

import pytest
from fido2.webauthn import PublicKeyCredentialCreationOptions, PublicKeyCredentialRequestOptions

from tests.webauthn.authenticator import ANDROID_APP, CHALLENGE, CREDENTIAL_ID, PARTY, USER
from tests.webauthn.certificates import NOW
from useid_middleware._codec import RecordType
from useid_middleware.errors import ConfigurationError
from useid_middleware.webauthn.core.cose import Algorithm
from useid_middleware.webauthn.core.extensions import (
    AuthenticationExtensions,
    CredentialProtection,
    PRFValues,
    RegistrationExtensions,
)
from useid_middleware.webauthn.core.options import (
    Attachment,
    AuthenticationState,
    Conveyance,
    Descriptor,
    Hint,
    RegistrationState,
    ResidentKey,
    User,
    UserVerification,
    begin_authentication,
    begin_registration,
)
from useid_middleware.webauthn.core.relying_party import RelyingParty

BEGINNING: dict[str, Any] = {"challenge": CHALLENGE, "now": NOW}
ALL_ASKED = RegistrationExtensions(
    cred_props=True,
    prf_inputs=PRFValues(b"first", b"second"),
    cred_protect=CredentialProtection.USER_VERIFICATION_REQUIRED,
    enforces_cred_protect=True,
    min_pin_length=True,
    large_blob="required",
    app_id_exclude="https://example.org/app-id.json",
)


def test_a_registration_asks_by_default_for_a_verified_user_and_for_no_attestation() -> None:
    options, _ = begin_registration(PARTY, USER, challenge=CHALLENGE, now=NOW)
    assert options == {
        "rp": {"id": "example.org", "name": "Example"},
        "user": {"id": "MDEyMzQ1Njc4OWFiY2RlZg", "name": "alice", "displayName": "alice"},
        "challenge": "LdAL134CIs7YgmZUganB2fkHMJ0W4F7QB6HqY5KEd6k",
        "pubKeyCredParams": [{"type": "public-key", "alg": each} for each in (-8, -7, -257)],
        "timeout": 300000,
        "excludeCredentials": [],
        "authenticatorSelection": {
            "residentKey": "discouraged",
            "requireResidentKey": False,
            "userVerification": "required",
        },
        "hints": [],
        "attestation": "none",
        "attestationFormats": [],
        "extensions": {},
    }


def test_a_registration_asks_for_all_that_it_is_told_to_ask_for() -> None:
    options, _ = begin_registration(
        PARTY,
        User(id=b"u", name="alice", display_name="Alice"),
        challenge=CHALLENGE,
        now=NOW,
        lifetime=60,
        algorithms=[Algorithm.ES256],
        exclude=[Descriptor(CREDENTIAL_ID, ("usb", "smart-card")), Descriptor(b"other")],
        user_verification=UserVerification.PREFERRED,
        resident_key=ResidentKey.REQUIRED,
        attachment=Attachment.CROSS_PLATFORM,
        hints=[Hint.HYBRID, Hint.SECURITY_KEY],
        conveyance=Conveyance.DIRECT,
        attestation_formats=["packed", "tpm"],
        extensions=ALL_ASKED,
    )
    assert options["user"]["displayName"] == "Alice"
    assert options["timeout"] == 60000
    assert options["pubKeyCredParams"] == [{"type": "public-key", "alg": -7}]
    assert options["excludeCredentials"] == [
        {
            "type": "public-key",
            "id": "4mW29WRgGh_o3EJ4XNGKhovYAT61iZVg55JIdnpoPms",
            "transports": ["usb", "smart-card"],
        },
        {"type": "public-key", "id": "b3RoZXI"},
    ]
    assert options["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "preferred",
        "authenticatorAttachment": "cross-platform",
    }
    assert options["hints"] == ["hybrid", "security-key"]
    assert (options["attestation"], options["attestationFormats"]) == ("direct", ["packed", "tpm"])
    assert options["extensions"] == {
        "credProps": True,
        "prf": {"eval": {"first": "Zmlyc3Q", "second": "c2Vjb25k"}},
        "credentialProtectionPolicy": "userVerificationRequired",
        "enforceCredentialProtectionPolicy": True,
        "minPinLength": True,
        "largeBlob": {"support": "required"},
        "appidExclude": "https://example.org/app-id.json",
    }


@pytest.mark.parametrize(
    ("protection", "name"),
    [
        (1, "userVerificationOptional"),
        (2, "userVerificationOptionalWithCredentialIDList"),
        (3, "userVerificationRequired"),
    ],
)
def test_protection_is_asked_for_by_name(protection: int, name: str) -> None:
    asked = RegistrationExtensions(cred_protect=CredentialProtection(protection))
    assert asked.to_json() == {"credentialProtectionPolicy": name, "enforceCredentialProtectionPolicy": False}


def test_an_authentication_asks_by_default_for_a_verified_user_and_any_passkey() -> None:
    options, _ = begin_authentication(PARTY, challenge=CHALLENGE, now=NOW)
    assert options == {
        "rpId": "example.org",
        "challenge": "LdAL134CIs7YgmZUganB2fkHMJ0W4F7QB6HqY5KEd6k",
        "timeout": 300000,
        "allowCredentials": [],
        "userVerification": "required",
        "hints": [],
        "extensions": {},
    }


def test_an_authentication_asks_for_all_that_it_is_told_to_ask_for() -> None:
    asked = AuthenticationExtensions(
        prf_by_credential=((b"id", PRFValues(b"first")),), large_blob_read=True, app_id="https://example.org"
    )
    options, _ = begin_authentication(
        PARTY,
        challenge=CHALLENGE,
        now=NOW,
        allow=[Descriptor(b"id", ("hybrid",))],
        hints=[Hint.CLIENT_DEVICE],
        extensions=asked,
    )
    assert options["allowCredentials"] == [{"type": "public-key", "id": "aWQ", "transports": ["hybrid"]}]
    assert options["hints"] == ["client-device"]
    assert options["extensions"] == {
        "prf": {"evalByCredential": {"aWQ": {"first": "Zmlyc3Q"}}},
        "largeBlob": {"read": True},
        "appid": "https://example.org",
    }
    assert AuthenticationExtensions(large_blob_write=b"blob").to_json() == {"largeBlob": {"write": "YmxvYg"}}


def test_another_library_reads_the_options_as_meant() -> None:
    options, _ = begin_registration(
        PARTY, USER, challenge=CHALLENGE, now=NOW, hints=[Hint.HYBRID], extensions=ALL_ASKED
    )
    created = PublicKeyCredentialCreationOptions.from_dict(options)
    assert (created.challenge, created.user.id, created.rp.id) == (CHALLENGE, USER.id, "example.org")
    asked, _ = begin_authentication(PARTY, challenge=CHALLENGE, now=NOW, allow=[Descriptor(CREDENTIAL_ID)])
    requested = PublicKeyCredentialRequestOptions.from_dict(asked)
    assert requested.allow_credentials is not None
    assert (requested.challenge, requested.allow_credentials[0].id) == (CHALLENGE, CREDENTIAL_ID)


def test_a_state_can_be_stored_and_says_how_long_it_holds() -> None:
    _, registration = begin_registration(
        PARTY, USER, challenge=CHALLENGE, now=NOW, lifetime=60, extensions=ALL_ASKED, is_conditional=True
    )
    registrations = RecordType(RegistrationState)
    assert registrations.decode(registrations.encode(registration)) == registration
    asked = AuthenticationExtensions(prf_inputs=PRFValues(b"1"), prf_by_credential=((b"id", PRFValues(b"2")),))
    _, authentication = begin_authentication(
        PARTY, challenge=CHALLENGE, now=NOW, lifetime=60, allow=[Descriptor(b"id")], user_handle=b"u", extensions=asked
    )
    authentications = RecordType(AuthenticationState)
    assert authentications.decode(authentications.encode(authentication)) == authentication
    assert registration.expires_at == authentication.expires_at == NOW + 60


@pytest.mark.parametrize(
    "arguments",
    [
        {"challenge": bytes(15)},
        {"lifetime": 0},
        {"lifetime": -1},
        {"user": User(id=b"", name="alice")},
        {"user": User(id=bytes(65), name="alice")},
        {"algorithms": ()},
        {"algorithms": (-65535,)},
        {"algorithms": (-7, -7000)},
    ],
)
def test_a_registration_that_could_not_end_well_does_not_begin(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        begin_registration(PARTY, **(BEGINNING | {"user": USER} | arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        {"challenge": bytes(15)},
        {"extensions": AuthenticationExtensions(prf_by_credential=((b"id", PRFValues(b"1")),))},
        {"extensions": AuthenticationExtensions(large_blob_write=b"blob")},
        {
            "extensions": AuthenticationExtensions(large_blob_write=b"blob", large_blob_read=True),
            "allow": [Descriptor(b"id")],
        },
    ],
)
def test_an_authentication_that_could_not_end_well_does_not_begin(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        begin_authentication(PARTY, **(BEGINNING | arguments))


SETTINGS: dict[str, Any] = {"id": "example.org", "name": "Example", "origins": {"https://login.example.org"}}


@pytest.mark.parametrize(
    "settings",
    [
        {"origins": {"https://example.org", "https://login.example.org:8443", "https://a.b.example.org"}},
        {"origins": {ANDROID_APP, "ios:bundle-id:org.example.app", "https://example.org"}},
        {"id": "localhost", "origins": {"http://localhost:8000", "http://app.localhost"}},
        {"accepts_cross_origin": True},
        {"accepts_cross_origin": True, "top_origins": {"https://shop.example"}},
        {"id": "xn--mller-kva.example", "origins": {"https://xn--mller-kva.example"}},
    ],
)
def test_a_relying_party_may_be_set_up_like_this(settings: dict[str, Any]) -> None:
    party = relying_party(settings)
    assert party.origins == settings.get("origins", SETTINGS["origins"])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"id": ""}, "domain"),
        ({"id": "127.0.0.1", "origins": {"https://127.0.0.1"}}, "IP address"),
        ({"id": "[::1]", "origins": {"https://[::1]"}}, "IP address"),
        ({"id": "https://example.org"}, "domain"),
        ({"id": "Example.org"}, "lower case"),
        ({"id": "müller.example"}, "punycode"),
        ({"id": "example..org"}, "domain"),
        ({"id": "-example.org"}, "domain"),
        ({"id": ".".join(["a" * 63] * 4)}, "domain"),
        ({"id": "org", "origins": {"https://example.org"}}, "public suffix"),
        ({"id": "co.uk", "origins": {"https://example.co.uk"}}, "public suffix"),
        ({"id": "example.net"}, "suffix of the host"),
        ({"id": "ample.org"}, "suffix of the host"),
        ({"id": "login.example.org", "origins": {"https://example.org"}}, "suffix of the host"),
        ({"name": ""}, "name"),
        ({"origins": set()}, "empty"),
        ({"origins": {"http://login.example.org"}}, "https"),
        ({"origins": {"http://localhost.example.org"}}, "https"),
        ({"origins": {"ftp://login.example.org"}}, "https"),
        ({"origins": {"https://login.example.org/"}}, "an origin"),
        ({"origins": {"https://login.example.org/path"}}, "an origin"),
        ({"origins": {"https://login.example.org:443"}}, "an origin"),
        ({"origins": {"https://user@login.example.org"}}, "an origin"),
        ({"origins": {"https://LOGIN.example.org"}}, "an origin"),
        ({"origins": {"https://login.example.org:port"}}, "an origin"),
        ({"origins": {"https://"}}, "an origin"),
        ({"origins": {"*"}}, "https"),
        ({"origins": {"android:apk-key-hash:short"}}, "https"),
        ({"top_origins": {"https://shop.example"}}, "not accepted"),
        ({"top_origins": {"http://shop.example"}, "accepts_cross_origin": True}, "https"),
    ],
)
def test_wrong_and_dangerous_settings_make_no_relying_party(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        relying_party(settings)


def relying_party(settings: dict[str, Any]) -> RelyingParty:
    chosen = SETTINGS | settings
    return RelyingParty(
        **chosen | {name: frozenset(chosen[name]) for name in ("origins", "top_origins") if name in chosen}
    )
