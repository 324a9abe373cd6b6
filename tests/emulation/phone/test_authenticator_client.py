"""The browser's part around the phone's authenticator: options, pages, client data, extensions."""

from hashlib import sha256
from typing import Any

import pytest

from tests.emulation.phone.passkeys import CHALLENGE, ORIGIN, Phone, create, creation, refused, request, secret
from useid_middleware._codec import b64url, un_b64url_any
from useid_middleware.emulation.phone.authenticator import (
    Gesture,
    MalformedOptions,
    NotAllowed,
    NotSupported,
    SecurityRefused,
)
from useid_middleware.emulation.phone.authenticator_client import Page, get_credential
from useid_middleware.webauthn.core.errors import CeremonyError
from useid_middleware.webauthn.core.extensions import AuthenticationExtensions, PRFValues, RegistrationExtensions
from useid_middleware.webauthn.core.options import (
    Attachment,
    Descriptor,
    ResidentKey,
    UserVerification,
)
from useid_middleware.webauthn.core.relying_party import RelyingParty


def test_a_page_on_another_device_uses_the_phone_as_a_roaming_authenticator() -> None:
    phone = Phone(attachment=Attachment.CROSS_PLATFORM)
    registered = phone.register(attachment=Attachment.CROSS_PLATFORM)
    assert registered.attachment == "cross-platform"
    assert phone.log_in(allow=[Descriptor(registered.credential_id)]).attachment == "cross-platform"
    code = refused(NotAllowed, phone.register, name="second", attachment=Attachment.PLATFORM)
    assert code == "authenticator_attachment_refused"


def test_the_server_learns_whether_the_credential_is_discoverable() -> None:
    asked: dict[str, Any] = {"extensions": RegistrationExtensions(cred_props=True)}
    assert Phone().register(**asked).extensions.is_discoverable is False
    assert Phone().register(resident_key=ResidentKey.REQUIRED, **asked).extensions.is_discoverable is True
    assert Phone().register(resident_key=ResidentKey.PREFERRED, **asked).extensions.is_discoverable is True
    assert Phone().register().extensions.is_discoverable is None


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"requireResidentKey": True}, True),
        ({"requireResidentKey": False}, False),
        ({"residentKey": "later", "requireResidentKey": True}, True),
        ({"residentKey": "discouraged", "requireResidentKey": True}, False),
        ({}, False),
    ],
)
def test_an_older_server_says_in_another_way_whether_to_keep_a_credential(
    selection: dict[str, Any], expected: bool
) -> None:
    made = create(creation(authenticatorSelection=selection, extensions={"credProps": True}))
    assert made["clientExtensionResults"] == {"credProps": {"rk": expected}}


def test_the_prf_gives_the_same_output_for_the_same_input_and_no_other() -> None:
    inputs = PRFValues(b"one", b"two")
    phone = Phone()
    registered = phone.register(extensions=RegistrationExtensions(prf_inputs=inputs))
    made = registered.extensions
    assert made.prf_enabled is True
    assert made.prf_results is not None
    assert made.prf_results.first != made.prf_results.second
    allow = [Descriptor(registered.credential_id)]
    used = phone.log_in(allow=allow, extensions=AuthenticationExtensions(prf_inputs=PRFValues(b"two", b"one")))
    assert used.extensions.prf_results == PRFValues(made.prf_results.second, made.prf_results.first)
    other = Phone().register(name="other", extensions=RegistrationExtensions(prf_inputs=inputs))
    assert other.extensions.prf_results != made.prf_results


def test_the_prf_takes_the_input_of_the_credential_before_the_one_for_all() -> None:
    phone = Phone()
    registered = phone.register(extensions=RegistrationExtensions(prf=True))
    assert (registered.extensions.prf_enabled, registered.extensions.prf_results) == (True, None)
    allow = [Descriptor(registered.credential_id)]

    def output(**extensions: Any) -> PRFValues | None:
        return phone.log_in(allow=allow, extensions=AuthenticationExtensions(**extensions)).extensions.prf_results

    own = ((registered.credential_id, PRFValues(b"own")),)
    assert output(prf_inputs=PRFValues(b"all"), prf_by_credential=own) == output(prf_inputs=PRFValues(b"own"))
    assert output(prf_inputs=PRFValues(b"all")) != output(prf_by_credential=own)
    assert output() is None


def test_the_prf_wants_a_user_who_is_verified_whatever_the_server_wants() -> None:
    phone = Phone(gesture=Gesture.PRESENCE)
    preferred: dict[str, Any] = {"user_verification": UserVerification.DISCOURAGED}
    registered = phone.register(**preferred, extensions=RegistrationExtensions(prf=True))
    inputs = PRFValues(b"one")
    asked = AuthenticationExtensions(prf_inputs=inputs)
    allow = [Descriptor(registered.credential_id)]
    code = refused(NotAllowed, phone.log_in, allow=allow, extensions=asked, **preferred)
    assert code == "authenticator_not_verified"
    code = refused(
        NotAllowed, phone.register, name="b", extensions=RegistrationExtensions(prf_inputs=inputs), **preferred
    )
    assert code == "authenticator_not_verified"


def test_the_prf_refuses_what_the_specification_refuses() -> None:
    by_credential = {"prf": {"evalByCredential": {"AAAA": {"first": "AAAA"}}}}
    assert refused(NotSupported, create, creation(extensions=by_credential)) == "authenticator_extension_unsupported"
    phone = Phone()
    allow = [{"type": "public-key", "id": b64url(phone.register().credential_id)}]
    ceremony: dict[str, Any] = {"page": phone.page, "sources": phone.sources, "gesture": phone.gesture}
    code = refused(NotSupported, get_credential, request(extensions=by_credential), **ceremony)
    assert code == "authenticator_extension_unsupported"
    options = request(extensions=by_credential, allowCredentials=allow)
    assert refused(MalformedOptions, get_credential, options, **ceremony) == "authenticator_options_malformed"


def test_the_client_data_are_written_as_the_specification_writes_them() -> None:
    challenge = b64url(CHALLENGE)
    made = create(creation())
    assert un_b64url_any(made["response"]["clientDataJSON"]).decode() == (
        f'{{"type":"webauthn.create","challenge":"{challenge}","origin":"{ORIGIN}","crossOrigin":false}}'
    )
    framed = create(creation(), page=Page(ORIGIN, "https://shop.example"))
    assert un_b64url_any(framed["response"]["clientDataJSON"]).decode() == (
        f'{{"type":"webauthn.create","challenge":"{challenge}","origin":"{ORIGIN}","crossOrigin":true,'
        '"topOrigin":"https://shop.example"}'
    )
    assert create(creation(), page=Page(ORIGIN, ORIGIN)) == made


def test_a_page_in_another_sites_frame_is_for_the_server_to_judge() -> None:
    framed = Page(ORIGIN, "https://shop.example")
    with pytest.raises(CeremonyError) as caught:
        Phone(page=framed).register()
    assert caught.value.code == "webauthn_cross_origin_refused"
    party = RelyingParty(
        id="example.org",
        name="Example",
        origins=frozenset({ORIGIN}),
        top_origins=frozenset({"https://shop.example"}),
        accepts_cross_origin=True,
    )
    assert Phone(page=framed, party=party).register().top_origin == "https://shop.example"


@pytest.mark.parametrize(
    ("origin", "rp_id"),
    [
        ("https://login.example.org", "example.org"),
        ("https://login.example.org:8443", "login.example.org"),
        ("https://login.example.org", ""),
        ("http://localhost:8000", "localhost"),
        ("http://app.localhost", "app.localhost"),
    ],
)
def test_a_page_may_ask_for_its_own_domain_and_those_above(origin: str, rp_id: str) -> None:
    expected = rp_id or "login.example.org"
    data = un_b64url_any(
        create(creation(rp={"id": rp_id, "name": "x"}), page=Page(origin))["response"]["authenticatorData"]
    )
    assert data[:32] == sha256(expected.encode()).digest()


@pytest.mark.parametrize(
    "rp_id",
    ["org", "co.uk", "login.example.com", "ogin.example.org", "a.login.example.org", "example.org.", ".example.org"],
)
def test_a_page_may_not_ask_for_anothers_domain(rp_id: str) -> None:
    assert refused(SecurityRefused, create, creation(rp={"id": rp_id, "name": "x"})) == "authenticator_rp_id_refused"
    code = refused(
        SecurityRefused, get_credential, request(rpId=rp_id), page=Page(ORIGIN), sources=(), gesture=Gesture.PRESENCE
    )
    assert code == "authenticator_rp_id_refused"


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://login.example.org",
        "https://192.0.2.1",
        "https://[2001:db8::1]",
        "http://127.0.0.1:8000",
        "https://login.example.org/",
        "https://login.example.org/path",
        "https://LOGIN.example.org",
        "https://user@login.example.org",
        "https://login.example.org:x",
        "https://[::1",
        "ftp://login.example.org",
        "android:apk-key-hash:" + "A" * 43,
    ],
)
def test_only_pages_of_a_secure_origin_with_a_domain_may_ask(origin: str) -> None:
    for rp_id in ("", "example.org"):
        options = creation(rp={"id": rp_id, "name": "x"})
        assert refused(SecurityRefused, create, options, page=Page(origin)) == "authenticator_origin_refused"


@pytest.mark.parametrize(
    "changed",
    [
        {"rp": None},
        {"rp": {"id": "example.org"}},
        {"rp": {"id": 7, "name": "x"}},
        {"user": {"id": "", "name": "x", "displayName": "x"}},
        {"user": {"id": b64url(bytes(65)), "name": "x", "displayName": "x"}},
        {"user": {"id": "AAA=", "name": "x", "displayName": "x"}},
        {"user": {"id": "AAAA", "name": None, "displayName": "x"}},
        {"user": {"id": "AAAA", "name": "\ud800", "displayName": "x"}},
        {"challenge": ""},
        {"challenge": "AB"},
        {"challenge": "A" * 5000},
        {"challenge": None},
        {"challenge": 5},
        {"pubKeyCredParams": None},
        {"pubKeyCredParams": [{"type": "public-key", "alg": "-7"}]},
        {"pubKeyCredParams": {}},
        {"excludeCredentials": [{"type": "public-key", "id": "*"}]},
        {"excludeCredentials": ["AAAA"]},
        {"authenticatorSelection": []},
        {"authenticatorSelection": {"requireResidentKey": "yes"}},
        {"extensions": []},
        {"extensions": {"credProps": 1}},
        {"extensions": {"prf": {"eval": {}}}},
        {"extensions": {"prf": {"eval": {"first": "?"}}}},
        {"extensions": {"prf": True}},
    ],
)
def test_options_of_another_form_are_refused(changed: dict[str, Any]) -> None:
    assert refused(MalformedOptions, create, creation(**changed)) == "authenticator_options_malformed"


@pytest.mark.parametrize(
    "changed",
    [
        {"challenge": None},
        {"challenge": "=="},
        {"rpId": 5},
        {"allowCredentials": "AAAA"},
        {"allowCredentials": [{"type": "public-key"}]},
        {"allowCredentials": [{"type": "public-key", "id": "A"}]},
        {"userVerification": True},
        {"extensions": {"prf": {"evalByCredential": ["AAAA"]}}},
    ],
)
def test_request_options_of_another_form_are_refused(changed: dict[str, Any]) -> None:
    phone = Phone()
    phone.register(resident_key=ResidentKey.REQUIRED)
    ceremony: dict[str, Any] = {"page": phone.page, "sources": phone.sources, "gesture": phone.gesture}
    assert (
        refused(MalformedOptions, get_credential, request(**changed), **ceremony) == "authenticator_options_malformed"
    )


def test_a_list_of_which_nothing_is_known_does_not_become_a_list_of_all() -> None:
    phone = Phone()
    phone.register(resident_key=ResidentKey.REQUIRED)
    options = request(allowCredentials=[{"type": "quantum-key", "id": "AAAA"}])
    ceremony: dict[str, Any] = {"page": phone.page, "sources": phone.sources, "gesture": phone.gesture}
    assert refused(NotAllowed, get_credential, options, **ceremony) == "authenticator_no_credential"
    assert create(creation(excludeCredentials=[{"type": "quantum-key", "id": "AAAA"}]))["id"]


def test_members_and_values_of_a_later_specification_are_ignored() -> None:
    made = create(
        creation(
            attestation="quantum",
            authenticatorSelection={"userVerification": "utmost", "authenticatorAttachment": "implanted", "x": 1},
            extensions={"later": {"a": [1]}},
            later=True,
        ),
        gesture=Gesture.PRESENCE,
    )
    assert made["clientExtensionResults"] == {}


def test_no_secret_is_shown() -> None:
    phone = Phone()
    phone.register()
    assert repr(secret("first"))[2:-1] not in repr(phone.sources)
    assert "secret" not in repr(phone.sources)
