"""The browser phone's authenticator in a real Chromium: the server's core verifies it, and the other agrees."""

import json
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from useid_middleware._codec import b64url, un_b64url_any
from useid_middleware.emulation.phone import authenticator_client
from useid_middleware.emulation.phone.authenticator import AAGUID, AuthenticatorError, Gesture, Sources
from useid_middleware.emulation.phone.page import find_asset
from useid_middleware.webauthn.core.authentication import (
    StoredCredential,
    VerifiedAuthentication,
    verify_authentication,
)
from useid_middleware.webauthn.core.cose import Algorithm
from useid_middleware.webauthn.core.extensions import AuthenticationExtensions, PRFValues, RegistrationExtensions
from useid_middleware.webauthn.core.options import (
    Conveyance,
    Descriptor,
    ResidentKey,
    User,
    UserVerification,
    begin_authentication,
    begin_registration,
)
from useid_middleware.webauthn.core.registration import VerifiedRegistration, verify_registration
from useid_middleware.webauthn.core.relying_party import RelyingParty
from useid_middleware.webauthn.core.response import read_authentication, read_registration
from useid_middleware.webauthn.core.trust import AttestationPolicy

NOW = 1_800_000_000
ORIGIN = "http://localhost"
PARTY = RelyingParty(id="localhost", name="Example", origins=frozenset({ORIGIN}))
ALICE = User(id=b"alice's handle", name="alice", display_name="Alice Ä.")
BOB = User(id=b"bob's handle", name="bob", display_name="Bob")
CHALLENGE = sha256(b"challenge").digest()
VERIFIED: dict[str, Any] = {"gesture": "verification"}

# Functions that the tests call in the page. They translate hex and keys; everything else is the phone's own code.
HARNESS = """
async () => {
  const authenticator = await import("./authenticator.js");
  const credentials = await import("./credentials.js");
  const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const hex = (array) => [...array].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const outcome = (work) => work.then((value) => ({ value }), (error) => ({ error: error.code ?? String(error) }));
  // r and s out of DER, each as 32 bytes.
  const raw = (der) => {
    const numbers = [der.slice(4, 4 + der[3]), der.slice(6 + der[3])];
    return Uint8Array.from(numbers.flatMap((number) => [...new Uint8Array(32), ...number].slice(-32)));
  };
  globalThis.harness = {
    create: (options, how) => outcome(authenticator.createCredential(options, how)),
    get: (options, how) => outcome(authenticator.getCredential(options, how)),
    find: (options) => outcome(authenticator.findCredentials(options).then((found) => found.map(({ id }) => id))),
    many: (options, how, times) =>
      Promise.all(Array.from({ length: times }, () => outcome(authenticator.getCredential(options, how)))),
    forget: async () => {
      for (const { id } of await credentials.listCredentials()) await credentials.forgetCredential(id);
    },
    keys: async () => {
      const held = await credentials.listCredentials();
      const exported = ({ privateKey }) => crypto.subtle.exportKey("pkcs8", privateKey).catch((error) => error.name);
      return Promise.all(held.map(async (each) =>
        [each.privateKey.extractable, each.prfKey.extractable, await exported(each)]));
    },
    async made({ id, point, rpId, signCount, flags, prf, challenge, origin, topOrigin }) {
      const data = await authenticator.authenticatorData(
        { id, rpId, signCount, publicKey: bytes(point) }, flags, prf ? new Map([["hmac-secret", true]]) : null);
      return {
        authenticatorData: hex(data),
        attestationObject: hex(authenticator.attestationObject("none", new Map(), data)),
        clientDataJSON: hex(authenticator.clientData("webauthn.create", challenge, origin, topOrigin)),
      };
    },
    async verify({ publicKey, message, signature }) {
      const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
      const key = await crypto.subtle.importKey("spki", bytes(publicKey), algorithm, false, ["verify"]);
      return crypto.subtle.verify(algorithm, key, raw(bytes(signature)), bytes(message));
    },
  };
}
"""


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[Page]:
    """The phone's page, under its own policy, with the harness in it."""
    folder = files("useid_middleware.emulation.phone").joinpath("static")
    page = browser.new_context().new_page()

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(f"{ORIGIN}/")
        status, headers, body = find_asset("") if not name else (200, [], folder.joinpath(name).read_bytes())
        content = {"content-type": "text/javascript; charset=utf-8"} if name.endswith(".js") else {}
        named = {key.decode(): value.decode() for key, value in headers}
        route.fulfill(status=status, headers=content | named, body=body)

    page.route("**/*", answer)
    page.goto(f"{ORIGIN}/")
    page.evaluate(HARNESS)
    yield page
    page.context.close()


@pytest.fixture
def phone(window: Page) -> Page:
    """The page, with no passkey on the phone."""
    _call(window, "forget")
    return window


def _call(page: Page, name: str, *arguments: object) -> Any:
    return page.evaluate("([name, values]) => harness[name](...values)", [name, list(arguments)])


def _register(phone: Page, user: User = ALICE, *, gesture: str = "verification", **asked: Any) -> VerifiedRegistration:
    options, state = begin_registration(PARTY, user, challenge=CHALLENGE, now=NOW, **asked)
    made = _call(phone, "create", options, {"gesture": gesture})
    return verify_registration(
        read_registration(made["value"]),
        expected_state=state,
        expected_party=PARTY,
        policy=AttestationPolicy(),
        is_known=False,
        now=NOW,
    )


def _log_in(
    phone: Page, registered: VerifiedRegistration, *, sign_count: int = 0, gesture: str = "verification", **asked: Any
) -> VerifiedAuthentication:
    options, state = begin_authentication(PARTY, challenge=CHALLENGE, now=NOW, **asked)
    made = _call(phone, "get", options, {"gesture": gesture})
    return verify_authentication(
        read_authentication(made["value"]),
        expected_state=state,
        expected_party=PARTY,
        credential=StoredCredential(
            credential_id=registered.credential_id,
            public_key=registered.public_key,
            sign_count=sign_count,
            user_handle=registered.user_handle,
            is_backup_eligible=False,
        ),
        now=NOW,
    )


@pytest.mark.parametrize("conveyance", [Conveyance.NONE, Conveyance.DIRECT])
def test_the_server_verifies_what_the_browser_made(phone: Page, conveyance: Conveyance) -> None:
    registered = _register(
        phone, conveyance=conveyance, extensions=RegistrationExtensions(cred_props=True, prf_inputs=PRFValues(b"one"))
    )
    assert registered.attestation_format == ("none" if conveyance is Conveyance.NONE else "packed")
    assert (registered.aaguid, registered.algorithm, registered.is_user_verified) == (AAGUID, Algorithm.ES256, True)
    assert (registered.transports, registered.attachment) == (("hybrid", "internal"), "platform")
    assert registered.extensions.is_discoverable is False
    allow = [Descriptor(registered.credential_id)]
    asked = AuthenticationExtensions(prf_inputs=PRFValues(b"two", b"one"))
    used = _log_in(phone, registered, allow=allow, extensions=asked)
    assert used.sign_count == 1
    made, results = registered.extensions.prf_results, used.extensions.prf_results
    assert made is not None
    assert results is not None
    assert results.second == made.first != results.first


def test_signatures_of_every_shape_verify(phone: Page) -> None:
    registered = _register(phone)
    allow = [Descriptor(registered.credential_id)]
    # About half of all numbers need a leading zero in DER, so that some of 48 signatures have none, one or two.
    for count in range(48):
        assert _log_in(phone, registered, sign_count=count, allow=allow).sign_count == count + 1


def test_a_passkey_is_there_after_a_reload_and_its_keys_cannot_be_read(phone: Page) -> None:
    registered = _register(phone, resident_key=ResidentKey.REQUIRED)
    phone.reload()
    phone.evaluate(HARNESS)
    assert _log_in(phone, registered).user_handle == ALICE.id
    assert _call(phone, "keys") == [[False, False, "InvalidAccessError"]]


def test_two_windows_never_sign_with_the_same_counter(phone: Page) -> None:
    _register(phone, resident_key=ResidentKey.REQUIRED)
    options, _ = begin_authentication(PARTY, challenge=CHALLENGE, now=NOW)
    made = _call(phone, "many", options, VERIFIED, 10)
    data = [un_b64url_any(each["value"]["response"]["authenticatorData"]) for each in made]
    assert sorted(int.from_bytes(each[33:37], "big") for each in data) == list(range(1, 11))


def test_a_discoverable_passkey_replaces_the_accounts_former_one_and_no_other(phone: Page) -> None:
    _register(phone, resident_key=ResidentKey.REQUIRED)
    bob = _register(phone, BOB, resident_key=ResidentKey.REQUIRED)
    latter = _register(phone, resident_key=ResidentKey.PREFERRED)
    _register(phone)
    options, _ = begin_authentication(PARTY, challenge=CHALLENGE, now=NOW)
    ids = [b64url(each.credential_id) for each in (bob, latter)]
    assert sorted(_call(phone, "find", options)["value"]) == sorted(ids)
    assert _call(phone, "get", options, VERIFIED) == {"error": "authenticator_account_ambiguous"}
    assert _call(phone, "get", options, VERIFIED | {"userName": "bob"})["value"]["id"] == ids[0]
    assert _call(phone, "get", options, VERIFIED | {"userName": "x"}) == {"error": "authenticator_no_credential"}


def test_the_flags_say_what_the_user_did(phone: Page) -> None:
    preferred: dict[str, Any] = {"user_verification": UserVerification.PREFERRED}
    registered = _register(phone, gesture="presence", **preferred)
    assert not registered.is_user_verified
    allow = [Descriptor(registered.credential_id)]
    assert not _log_in(phone, registered, gesture="presence", allow=allow, **preferred).is_user_verified
    assert _log_in(phone, registered, sign_count=1, allow=allow, **preferred).is_user_verified


def _made_here(options: dict[str, Any], *, top_origin: str = "") -> tuple[Sources, dict[str, Any]]:
    """The credential that the command line's authenticator makes of these options."""
    page = authenticator_client.Page(ORIGIN, top_origin)
    secret = sha256(b"secret").digest()
    return authenticator_client.create_credential(
        options, page=page, sources=(), gesture=Gesture.VERIFICATION, secret=secret, now=NOW
    )


@pytest.mark.parametrize("prf", [False, True])
@pytest.mark.parametrize("top_origin", ["", "https://shop.example"])
def test_both_authenticators_write_the_same_bytes(phone: Page, prf: bool, top_origin: str) -> None:
    options, _ = begin_registration(
        PARTY,
        ALICE,
        challenge=CHALLENGE,
        now=NOW,
        algorithms=[Algorithm.ES256],
        extensions=RegistrationExtensions(prf=prf),
    )
    (source,), made = _made_here(options, top_origin=top_origin)
    response = {name: made["response"][name] for name in ("authenticatorData", "attestationObject", "clientDataJSON")}
    written = _call(
        phone,
        "made",
        {
            "id": made["id"],
            "point": source.public_key[-65:].hex(),
            "rpId": "localhost",
            "signCount": 0,
            "flags": 0x45,
            "prf": prf,
            "challenge": b64url(CHALLENGE),
            "origin": ORIGIN,
            "topOrigin": top_origin,
        },
    )
    assert {name: b64url(bytes.fromhex(value)) for name, value in written.items()} == response


def test_the_browser_verifies_what_the_command_line_signed(phone: Page) -> None:
    options, _ = begin_registration(PARTY, ALICE, challenge=CHALLENGE, now=NOW, algorithms=[Algorithm.ES256])
    sources, made = _made_here(options)
    for number in range(8):
        challenge = sha256(b"%d" % number).digest()
        wanted, _ = begin_authentication(PARTY, challenge=challenge, now=NOW, allow=[Descriptor(sources[0].id)])
        sources, used = authenticator_client.get_credential(
            wanted, page=authenticator_client.Page(ORIGIN), sources=sources, gesture=Gesture.VERIFICATION
        )
        answer = {name: un_b64url_any(value) for name, value in used["response"].items()}
        message = answer["authenticatorData"] + sha256(answer["clientDataJSON"]).digest()
        vector = {
            "publicKey": un_b64url_any(made["response"]["publicKey"]).hex(),
            "message": message.hex(),
            "signature": answer["signature"].hex(),
        }
        assert _call(phone, "verify", vector) is True
        assert _call(phone, "verify", vector | {"message": message[:-1].hex() + "00"}) is False


def _changed(options: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """Options with some members changed; ``None`` leaves one out."""
    return {name: value for name, value in (options | changed).items() if value is not None}


def _code_here(work: Any, *arguments: Any, **keywords: Any) -> str:
    with pytest.raises(AuthenticatorError) as caught:
        work(*arguments, **keywords)
    return caught.value.code


@pytest.mark.parametrize(
    ("changed", "how"),
    [
        ({}, {"gesture": "none"}),
        ({}, {"gesture": "presence"}),
        ({"authenticatorSelection": {}, "extensions": {"prf": {"eval": {"first": "AAAA"}}}}, {"gesture": "presence"}),
        ({"authenticatorSelection": {"authenticatorAttachment": "cross-platform"}}, VERIFIED),
        ({"pubKeyCredParams": [{"type": "public-key", "alg": -257}]}, VERIFIED),
        ({"pubKeyCredParams": [{"type": "quantum-key", "alg": -7}]}, VERIFIED),
        ({"extensions": {"prf": {"evalByCredential": {}}}}, VERIFIED),
        ({"rp": {"id": "host", "name": "x"}}, VERIFIED),
        ({"rp": {"id": "a.localhost", "name": "x"}}, VERIFIED),
        ({"rp": {"id": 7, "name": "x"}}, VERIFIED),
        ({"rp": None}, VERIFIED),
        ({"user": {"id": "", "name": "x", "displayName": "x"}}, VERIFIED),
        ({"user": {"id": b64url(bytes(65)), "name": "x", "displayName": "x"}}, VERIFIED),
        ({"user": {"id": "AAA=", "name": "x", "displayName": "x"}}, VERIFIED),
        ({"user": {"id": "AAAA", "displayName": "x"}}, VERIFIED),
        ({"challenge": None}, VERIFIED),
        ({"challenge": "AB"}, VERIFIED),
        ({"pubKeyCredParams": None}, VERIFIED),
        ({"pubKeyCredParams": [7]}, VERIFIED),
        ({"excludeCredentials": ["AAAA"]}, VERIFIED),
        ({"excludeCredentials": [{"type": "public-key", "id": "*"}]}, VERIFIED),
        ({"authenticatorSelection": []}, VERIFIED),
        ({"extensions": []}, VERIFIED),
        ({"extensions": {"prf": True}}, VERIFIED),
        ({"extensions": {"prf": {"eval": {}}}}, VERIFIED),
    ],
)
def test_both_refuse_the_same_registrations_with_the_same_codes(
    phone: Page, changed: dict[str, Any], how: dict[str, Any]
) -> None:
    options = _changed(begin_registration(PARTY, ALICE, challenge=CHALLENGE, now=NOW)[0], changed)
    expected = _code_here(
        authenticator_client.create_credential,
        options,
        page=authenticator_client.Page(ORIGIN),
        sources=(),
        gesture=Gesture(how["gesture"]),
        secret=bytes(32),
        now=NOW,
    )
    assert _call(phone, "create", options, how) == {"error": expected}
    assert _call(phone, "keys") == []


@pytest.mark.parametrize(
    ("changed", "how"),
    [
        ({}, {"gesture": "none"}),
        ({}, {"gesture": "presence"}),
        ({"rpId": "host"}, VERIFIED),
        ({"rpId": 5}, VERIFIED),
        ({"challenge": None}, VERIFIED),
        ({"challenge": "=="}, VERIFIED),
        ({"allowCredentials": "AAAA"}, VERIFIED),
        ({"allowCredentials": [{"type": "public-key"}]}, VERIFIED),
        ({"allowCredentials": [{"type": "quantum-key", "id": "AAAA"}]}, VERIFIED),
        ({"allowCredentials": [{"type": "public-key", "id": "AAAA"}]}, VERIFIED),
        ({"extensions": {"prf": {"evalByCredential": {"AAAA": {"first": "AAAA"}}}}}, VERIFIED),
        ({"extensions": {"prf": {"evalByCredential": ["AAAA"]}}}, VERIFIED),
        ({"extensions": {"prf": {"eval": {"first": "AAAA"}}}, "userVerification": "x"}, {"gesture": "presence"}),
    ],
)
def test_both_refuse_the_same_assertions_with_the_same_codes(
    phone: Page, changed: dict[str, Any], how: dict[str, Any]
) -> None:
    _register(phone, resident_key=ResidentKey.REQUIRED)
    asked, _ = begin_registration(PARTY, ALICE, challenge=CHALLENGE, now=NOW, resident_key=ResidentKey.REQUIRED)
    sources, _ = _made_here(asked)
    options = _changed(begin_authentication(PARTY, challenge=CHALLENGE, now=NOW)[0], changed)
    expected = _code_here(
        authenticator_client.get_credential,
        options,
        page=authenticator_client.Page(ORIGIN),
        sources=sources,
        gesture=Gesture(how["gesture"]),
    )
    assert _call(phone, "get", options, how) == {"error": expected}


def test_an_excluded_passkey_is_not_joined_by_another(phone: Page) -> None:
    exclude = [Descriptor(_register(phone).credential_id)]
    options, _ = begin_registration(PARTY, ALICE, challenge=CHALLENGE, now=NOW, exclude=exclude)
    assert _call(phone, "create", options, VERIFIED) == {"error": "authenticator_credential_excluded"}
    assert _call(phone, "create", options, {"gesture": "none"}) == {"error": "authenticator_not_confirmed"}


@pytest.mark.parametrize(
    "origin", ["", "null", "http://app.example", "https://192.0.2.1", "http://127.0.0.1", "https://app.example/", 7]
)
def test_only_pages_of_a_secure_origin_with_a_domain_may_ask(phone: Page, origin: object) -> None:
    options, _ = begin_registration(PARTY, ALICE, challenge=CHALLENGE, now=NOW)
    assert _call(phone, "create", options, VERIFIED | {"origin": origin}) == {"error": "authenticator_origin_refused"}


def test_a_page_may_ask_for_its_own_domain_and_those_above(phone: Page) -> None:
    options, _ = begin_registration(PARTY, ALICE, challenge=CHALLENGE, now=NOW)
    for origin, rp_id in (
        ("https://login.app.example:8443", "app.example"),
        ("https://app.example", "app.example"),
        ("https://app.example", ""),
        ("http://app.localhost", "app.localhost"),
    ):
        wanted = options | {"rp": {"id": rp_id, "name": "x"}}
        made = _call(phone, "create", wanted, VERIFIED | {"origin": origin})["value"]["response"]
        expected = rp_id or "app.example"
        assert un_b64url_any(made["authenticatorData"])[:32] == sha256(expected.encode()).digest()
        assert json.loads(un_b64url_any(made["clientDataJSON"]))["origin"] == origin
