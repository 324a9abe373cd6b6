"""The phone's part in a bound login, without network and files: what it seals, to whom, and what it refuses."""

from dataclasses import replace
from typing import Any

import pytest

from tests.emulation.phone.fake_server import (
    CHALLENGE,
    NOW,
    SESSION_ID,
    USER_ID,
    WIDGET_KEY,
    WIDGET_PRIVATE_KEY,
    FakeServer,
)
from tests.emulation.phone.passkeys import secret
from useid_middleware._codec import b64url, encode_json
from useid_middleware.emulation.phone.authenticator import (
    Gesture,
    MalformedOptions,
    NotAllowed,
    SecurityRefused,
    Sources,
)
from useid_middleware.emulation.phone.binding import (
    MAX_REFRESH_URL,
    MOST_KEPT,
    Account,
    MadePasskey,
    SealedEnd,
    account_body,
    check_binding,
    credential_body,
    make_passkey,
    read_account,
    seal,
)
from useid_middleware.emulation.phone.core import BOUND, EnrolledKey, TrustedLink, describe, read_decision, read_scan
from useid_middleware.errors import RequestError, UnavailableError
from useid_middleware.qr.core.link import Link, LinkType
from useid_middleware.qr.core.signing import Decision, RequestContext
from useid_middleware.webauthn.core.options import Conveyance, ResidentKey, User, begin_registration
from useid_middleware.webauthn.core.sealing import open_refresh_url

SERVER = FakeServer().server
LINK = Link(LinkType.AUTH, SESSION_ID, CHALLENGE, SERVER, widget_key=WIDGET_KEY)
KEY = EnrolledKey(server=SERVER, username="alice", app_name="Tana", label="test", key_id=bytes(16), seed=bytes(32))
URL = f"{SERVER}/session/refresh/token"


def _scan(link: Link = LINK, **more: object) -> Any:
    context = {name: getattr(FakeServer().context, name) for name in RequestContext.__struct_fields__}
    return read_scan(TrustedLink(link, KEY), encode_json({"context": context, "expiresIn": 290, **more}))


def _end() -> SealedEnd:
    return seal(check_binding(LINK), URL)


def _options(user_id: bytes = USER_ID, **asked: Any) -> dict[str, Any]:
    user = User(user_id, "Tana", "Tana")
    return begin_registration(FakeServer().party, user, challenge=CHALLENGE, now=NOW, **asked)[0]


def _account(options: dict[str, Any] | None = None) -> Account:
    return _read({"userId": b64url(USER_ID), "options": options or _options()})


def _read(answer: dict[str, Any]) -> Account:
    return read_account(_end(), encode_json(answer))


def _make(account: Account, sources: Sources = (), *, name: str = "first", now: int = NOW) -> Any:
    return make_passkey(account, sources=sources, gesture=Gesture.VERIFICATION, secret=secret(name), now=now)


def test_a_scan_says_whether_the_login_is_to_be_bound_and_the_person_is_told() -> None:
    bound = _scan(binding=True)
    assert bound.binding == check_binding(LINK)
    assert BOUND in describe(bound)
    for plain in (_scan(), _scan(binding=False), _scan(replace(LINK, widget_key=b""))):
        assert plain.binding is None
        assert BOUND not in describe(plain)


@pytest.mark.parametrize("server", [SERVER, "https://app.example:8443", "http://localhost:8000/auth"])
def test_the_passkey_is_for_the_servers_own_origin(server: str) -> None:
    binding = check_binding(replace(LINK, server=server))
    assert server.startswith(binding.page.origin)
    assert binding.page.origin in (server, server.removesuffix("/auth"))


@pytest.mark.parametrize(
    ("link", "code"),
    [
        (replace(LINK, widget_key=b""), "widget_key_missing"),
        (replace(LINK, widget_key=bytes(32)), "widget_key_invalid"),
        (replace(LINK, widget_key=b"\x01" + bytes(31)), "widget_key_invalid"),
        (replace(LINK, server="http://127.0.0.1:8000/auth"), "authenticator_origin_refused"),
        (replace(LINK, server="https://APP.example/auth"), "authenticator_origin_refused"),
    ],
)
def test_a_link_that_no_login_can_be_bound_by_is_refused_before_anybody_is_asked(link: Link, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        _scan(link, binding=True)
    assert caught.value.code == code
    assert _scan(link).binding is None


def test_an_approval_is_sealed_for_the_widget_of_the_link_and_its_session_alone() -> None:
    answer = encode_json({"status": "approved", "refreshUrl": URL})
    end = read_decision(Decision.APPROVE, answer, binding=check_binding(LINK)).end
    assert end is not None
    body = account_body(end)
    assert body["widgetSessionId"] == b64url(SESSION_ID)
    sealed = body["sealedRefreshUrl"]
    assert open_refresh_url(sealed, private_key=WIDGET_PRIVATE_KEY, session_id=b64url(SESSION_ID)) == URL
    for private_key, session_id in ((bytes(32), b64url(SESSION_ID)), (WIDGET_PRIVATE_KEY, "A" * 22)):
        with pytest.raises(RequestError):
            open_refresh_url(sealed, private_key=private_key, session_id=session_id)
    assert URL not in repr(end)


def test_only_the_approval_of_a_bound_login_has_an_end_to_seal() -> None:
    approved = encode_json({"status": "approved", "refreshUrl": URL, "code": "123456"})
    plain = read_decision(Decision.APPROVE, approved)
    assert (plain.code, plain.end) == ("123456", None)
    rejected = read_decision(Decision.REJECT, b'{"status": "rejected"}', binding=check_binding(LINK))
    assert rejected.end is None


@pytest.mark.parametrize(
    "refresh_url",
    [
        "",
        "https://app.example",
        "https://app.example.evil.example/auth",
        "https://app.example@evil.example/",
        "https://app.example:8443/auth",
        "http://app.example/auth",
        "https://APP.example/auth",
        "//app.example/auth",
        "/auth/session/refresh/token",
        "javascript:alert(1)",
        "https://app.example/a b",
        "https://app.example/\\evil.example",
        "https://app.example/\r\nset-cookie: x",
        "https://app.example/ä",
        " https://app.example/",
        "https://app.example/" + "x" * MAX_REFRESH_URL,
        7,
        None,
    ],
)
def test_an_end_that_is_not_at_the_servers_origin_is_sealed_for_nobody(refresh_url: object) -> None:
    answer = encode_json({"status": "approved", "refreshUrl": refresh_url})
    with pytest.raises(UnavailableError) as caught:
        read_decision(Decision.APPROVE, answer, binding=check_binding(LINK))
    assert caught.value.code == "answer_invalid"


def test_an_approval_that_names_no_end_is_refused() -> None:
    with pytest.raises(UnavailableError, match="refreshUrl"):
        read_decision(Decision.APPROVE, b'{"status": "approved", "code": "123456"}', binding=check_binding(LINK))


@pytest.mark.parametrize("conveyance", [Conveyance.NONE, Conveyance.DIRECT])
def test_the_passkey_is_one_that_the_server_verifies(conveyance: Conveyance) -> None:
    server = FakeServer(conveyance=conveyance, decision=Decision.APPROVE)
    end = _end()
    account = read_account(end, encode_json(server._answer("/webauthn/accounts", account_body(end))))
    sources, made = _make(account)
    assert account.rp_id == "app.example"
    assert isinstance(made, MadePasskey)
    server._register(f"/webauthn/accounts/{made.account.user_id}", dict(credential_body(made)))
    assert server.opened == URL
    assert server.registered is not None
    assert server.registered.attestation_format == ("none" if conveyance is Conveyance.NONE else "packed")
    assert [source.id for source in sources] == [made.credential_id] == [server.registered.credential_id]


def test_a_passkey_is_not_made_when_the_user_does_not_confirm() -> None:
    with pytest.raises(NotAllowed) as caught:
        make_passkey(_account(), sources=(), gesture=Gesture.NONE, secret=secret("first"), now=NOW)
    assert caught.value.code == "authenticator_not_confirmed"


@pytest.mark.parametrize(
    "changed",
    [
        {"userId": None},
        {"userId": b64url(USER_ID[:-1])},
        {"userId": f"{b64url(USER_ID)}="},
        {"userId": b64url(bytes(32))},
        {"userId": "A" * 42 + "B"},
        {"options": None},
        {"options": []},
    ],
)
def test_an_account_that_is_none_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(UnavailableError) as caught:
        _read({"userId": b64url(USER_ID), "options": _options(), **changed})
    assert caught.value.code == "answer_invalid"


def test_options_for_somebody_else_or_for_another_website_are_refused_before_the_user_is_asked() -> None:
    with pytest.raises(UnavailableError, match="the account's own id"):
        _account(_options(bytes(32)))
    with pytest.raises(SecurityRefused):
        _account(_options() | {"rp": {"id": "evil.example", "name": "x"}})
    with pytest.raises(MalformedOptions):
        _account(_options() | {"challenge": "?"})


def test_passkeys_of_old_logins_make_room_and_no_others_do() -> None:
    kept: Sources = ()
    discoverable = _account(_options(resident_key=ResidentKey.REQUIRED))
    kept, _ = _make(discoverable, kept, name="mine", now=NOW - 1)
    elsewhere = replace(kept[0], rp_id="other.example", is_discoverable=False, secret=secret("elsewhere"))
    kept = (elsewhere, *kept)
    made = []
    for number in range(MOST_KEPT + 3):
        kept, passkey = _make(_account(), kept, name=str(number), now=NOW + number)
        made.append(passkey.credential_id)
    assert [source.id for source in kept[2:]] == made[3:]
    assert [source.secret for source in kept[:2]] == [secret("elsewhere"), secret("mine")]
