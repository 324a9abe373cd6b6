"""The phone's decisions without network and files."""

from dataclasses import replace

import pytest
from nacl.signing import SigningKey, VerifyKey

from tests.emulation.phone.fake_server import CHALLENGE, FRAME, KEY_ID, NOW, SESSION_ID, FakeServer
from useid_middleware._codec import b64url, encode_json, un_b64url
from useid_middleware._codec import replace as replace_record
from useid_middleware.emulation.phone.core import (
    EnrolledKey,
    LoginRequest,
    choose_enrolment,
    decision_body,
    describe,
    enrolment_body,
    large_digits,
    read_decision,
    read_enrolment,
    read_scan,
    scan_body,
    shown,
)
from useid_middleware.errors import RequestError, UnavailableError
from useid_middleware.qr.core.link import Link, LinkType
from useid_middleware.qr.core.signing import Decision, RequestContext, decision_message, enrolment_message

SERVER = "https://app.example/auth"
LINK = Link(LinkType.AUTH, SESSION_ID, CHALLENGE, SERVER, FRAME)
KEY = EnrolledKey(server=SERVER, username="alice", app_name="Tana", label="test", key_id=KEY_ID, seed=bytes(32))
REQUEST = LoginRequest(LINK, KEY, FakeServer().context, 290)


@pytest.mark.parametrize(
    "server",
    [
        "https://evil.example/auth",
        "https://app.example/auth/",
        "https://app.example",
        "https://app.example:443/auth",
        "https://APP.example/auth",
        "https://app.example.evil.example/auth",
        "http://app.example/auth",
    ],
)
def test_t14_a_server_that_differs_in_one_character_is_not_the_enrolled_one(server: str) -> None:
    with pytest.raises(RequestError) as caught:
        choose_enrolment(replace(LINK, server=server), [KEY])
    assert caught.value.code == "server_untrusted"


def test_t14_a_phone_without_keys_trusts_no_server() -> None:
    with pytest.raises(RequestError, match="not enrolled") as caught:
        choose_enrolment(LINK, [])
    assert caught.value.code == "server_untrusted"


def test_the_key_of_the_links_server_is_chosen() -> None:
    other = replace(KEY, server="https://other.example/auth")
    assert choose_enrolment(LINK, [other, KEY]).key is KEY


def test_several_accounts_of_a_server_need_a_name() -> None:
    bob = replace(KEY, username="bob")
    with pytest.raises(RequestError) as caught:
        choose_enrolment(LINK, [KEY, bob])
    assert caught.value.code == "account_ambiguous"
    assert choose_enrolment(LINK, [KEY, bob], username="bob").key is bob
    with pytest.raises(RequestError) as caught:
        choose_enrolment(LINK, [KEY, bob], username="carol")
    assert caught.value.code == "account_unknown"


def test_an_enrolment_link_cannot_be_approved() -> None:
    with pytest.raises(RequestError) as caught:
        choose_enrolment(replace(LINK, type=LinkType.ENROL), [KEY])
    assert caught.value.code == "link_refused"


def test_a_scan_names_the_key_and_the_frame_that_was_seen() -> None:
    assert scan_body(choose_enrolment(LINK, [KEY])) == {
        "type": "scan",
        "keyId": b64url(KEY_ID),
        "frame": b64url(FRAME),
    }
    assert "frame" not in scan_body(choose_enrolment(replace(LINK, frame=b""), [KEY]))


@pytest.mark.parametrize("decision", list(Decision))
def test_a_decision_is_signed_over_all_that_was_shown(decision: Decision) -> None:
    body = decision_body(decision, REQUEST, issued_at=NOW)
    message = decision_message(
        decision,
        server=SERVER,
        session_id=SESSION_ID,
        challenge=CHALLENGE,
        frame=FRAME,
        context_digest=REQUEST.context.digest(),
        key_id=KEY_ID,
        issued_at=NOW,
    )
    VerifyKey(un_b64url(str(body["publicKey"]), 32)).verify(message, un_b64url(str(body["signature"]), 64))
    assert (body["sessionId"], body["keyId"], body["issuedAt"]) == (b64url(SESSION_ID), b64url(KEY_ID), NOW)


def test_an_enrolment_proves_possession_of_the_key_that_it_names() -> None:
    link = replace(LINK, type=LinkType.ENROL, frame=b"")
    seed = bytes(range(32))
    body = enrolment_body(link, seed=seed, label="Jürgens Händi", issued_at=NOW)
    public_key = bytes(SigningKey(seed).verify_key)
    message = enrolment_message(
        server=SERVER,
        enrolment_id=SESSION_ID,
        challenge=CHALLENGE,
        public_key=public_key,
        label="Jürgens Händi",
        issued_at=NOW,
    )
    assert body["publicKey"] == b64url(public_key)
    VerifyKey(public_key).verify(message, un_b64url(str(body["signature"]), 64))


def _scan_answer(**changes: object) -> bytes:
    context: dict[str, object] = {name: getattr(REQUEST.context, name) for name in RequestContext.__struct_fields__}
    return encode_json({"context": {**context, **changes}, "expiresAt": "2026-11-21T02:45:00Z", "expiresIn": 290})


def test_the_answer_to_a_scan_becomes_the_request() -> None:
    assert read_scan(choose_enrolment(LINK, [KEY]), _scan_answer()) == REQUEST


def test_an_effect_that_the_app_cannot_explain_is_never_signed() -> None:
    with pytest.raises(RequestError) as caught:
        read_scan(choose_enrolment(LINK, [KEY]), _scan_answer(effect="transfer"))
    assert caught.value.code == "effect_unknown"


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", b"\xff", b'{"context": {}, "expiresIn": 1}', _scan_answer(city=1), b"[" * 100_000]
)
def test_a_malformed_answer_to_a_scan_is_refused(answer: bytes) -> None:
    with pytest.raises(UnavailableError) as caught:
        read_scan(choose_enrolment(LINK, [KEY]), answer)
    assert caught.value.code == "answer_invalid"


@pytest.mark.parametrize(
    "answer", [b'{"status": "rejected"}', b'{"status": "approved", "code": "12345"}', b'{"code": "123456"}', b"null"]
)
def test_an_answer_that_does_not_confirm_the_approval_is_refused(answer: bytes) -> None:
    with pytest.raises(UnavailableError) as caught:
        read_decision(Decision.APPROVE, answer)
    assert caught.value.code == "answer_invalid"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("keyId", "short"),
        ("keyId", 1),
        ("code", "12 456"),
        ("code", "\uff11\uff12\uff13\uff14\uff15\uff16"),
        ("username", None),
    ],
)
def test_a_malformed_answer_to_an_enrolment_is_refused(member: str, value: object) -> None:
    answer = {"keyId": b64url(KEY_ID), "username": "alice", "appName": "Tana", "code": "123456", member: value}
    with pytest.raises(UnavailableError) as caught:
        read_enrolment(LINK, encode_json(answer), seed=bytes(32), label="test")
    assert caught.value.code == "answer_invalid"


def test_everything_that_is_signed_about_the_desktop_is_shown() -> None:
    text = describe(REQUEST)
    context = REQUEST.context
    for value in (context.appName, context.origin, context.ip, context.city, context.browser, context.requestedAt):
        assert value in text
    assert "alice" in text
    assert b64url(SESSION_ID) in text
    assert "will be logged in" in text


def test_text_from_the_server_cannot_steer_the_terminal() -> None:
    hostile = replace(REQUEST, context=replace_record(REQUEST.context, browser="\x1b[2Jsafe\r\u202eevil\nApp  Bank"))
    lines = describe(hostile).split("\n")
    assert len(lines) == 8
    assert all(line.isprintable() for line in lines)


def test_what_is_printable_is_shown_as_it_is() -> None:
    assert shown("Café Größe 茶") == "Café Größe 茶"


def test_the_code_is_drawn_in_seven_segments_and_repeated_in_plain_digits() -> None:
    assert large_digits("012789").split("\n") == [
        "     _       _      _   _   _",
        "    | |   |  _|      | |_| |_|",
        "    |_|   | |_       | |_|  _|",
        "",
        "    012 789",
    ]


def test_no_private_key_and_no_key_id_appears_in_a_repr() -> None:
    key = replace(KEY, seed=b"s" * 32, key_id=b"k" * 16)
    assert "sss" not in repr(key)
    assert "kkk" not in repr(key)
