"""The end of a bound login: which WebAuthn server the client believes in, what it sends there, and whom it asks."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from hashlib import sha256
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from tests.emulation.card.world import NOW, stream
from tests.emulation.client.website import (
    DOWN,
    REFRESH,
    TC_TOKEN_URL,
    TOKEN,
    Person,
    Website,
    authenticator,
    circumstances,
    drive,
)
from tests.emulation.server.world import PSEUDONYM
from useid_middleware._codec import b64url
from useid_middleware.eid.core.link import build_widget_link
from useid_middleware.eid.core.results import MAJOR_ERROR, ClientMinor
from useid_middleware.eid.core.tctoken import WebAuthnServer, domain_of
from useid_middleware.emulation.client.actions import Connect, Fetch, Fetched, Post, Put, Unreachable
from useid_middleware.emulation.client.flow import Outcome, open_link
from useid_middleware.emulation.client.passkeys import MemoryCredentials, Passkeys
from useid_middleware.emulation.phone.authenticator_client import Page
from useid_middleware.webauthn.core.authentication import StoredCredential, verify_authentication
from useid_middleware.webauthn.core.options import (
    Descriptor,
    ResidentKey,
    User,
    UserVerification,
    begin_authentication,
    begin_registration,
)
from useid_middleware.webauthn.core.registration import verify_registration
from useid_middleware.webauthn.core.relying_party import RelyingParty
from useid_middleware.webauthn.core.response import read_authentication, read_registration
from useid_middleware.webauthn.core.sealing import open_refresh_url
from useid_middleware.webauthn.core.trust import AttestationPolicy

SERVER: Final = "https://widget.example/auth"
WIDGET: Final = "AAAAAAAAAAAAAAAAAAAAAA"
HANDLE: Final = bytes(range(32))
USER_ID: Final = b64url(HANDLE)
CHALLENGE: Final = sha256(b"challenge").digest()
ACCOUNTS: Final = f"{SERVER}/webauthn/accounts"
ACCOUNT: Final = f"{ACCOUNTS}/{USER_ID}"
KEY: Final = X25519PrivateKey.from_private_bytes(bytes(range(32)))

Change = Callable[[dict[str, Any]], None]


@cache
def certificate(name: str) -> bytes:
    """A self-signed TLS certificate with a key of its own, in DER."""
    key = _key(name)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    dates = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    return dates.sign(key, SHA256()).public_bytes(Encoding.DER)


def pin(name: str) -> bytes:
    """The hash by which that certificate's key is known."""
    spki = _key(name).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha256(spki).digest()


def _key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(sha256(name.encode()).digest()), ec.SECP256R1())


def link(server: str = SERVER, *, key: bytes | None = None) -> str:
    """A link with the widget's public key, as the QR code has it."""
    public_key = KEY.public_key().public_bytes_raw() if key is None else key
    start = build_widget_link(tc_token_url=TC_TOKEN_URL, session_id=WIDGET, server=server)
    return f"{start}#widgetPublicKey={b64url(public_key)}"


VOUCHED: Final = WebAuthnServer("widget.example", (pin("usual"),))


@dataclass
class Binder(Website):
    """The eService, and the WebAuthn server at ``server``, whose own core verifies what it is sent.

    ``shown`` are the names of the TLS certificates that its connections have, one after the other, and the last one
    ever after; none stands for no TLS. ``statuses`` and ``bodies`` are answers instead of the usual ones.
    """

    server: str = SERVER
    vouched: WebAuthnServer | None = VOUCHED
    shown: tuple[str, ...] = ("usual",)
    statuses: dict[str, int] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    down: frozenset[type] = frozenset()
    change: Change = lambda account: None
    calls: list[str] = field(default_factory=list)
    account: dict[str, Any] = field(default_factory=dict)
    stored: StoredCredential | None = None

    def __post_init__(self) -> None:
        self.token = replace(TOKEN, webauthn_server=self.vouched)
        self.request = PSEUDONYM
        super().__post_init__()

    @property
    def origin(self) -> str:
        """That of the server."""
        return f"{self.server.partition(':')[0]}://{domain_of(self.server)}"

    @property
    def party(self) -> RelyingParty:
        """The server, as authenticators know it."""
        host = domain_of(self.server).partition(":")[0]
        return RelyingParty(id=host, name="Harbour", origins=frozenset({self.origin}))

    def answer(self, action: Fetch | Post | Put | Connect) -> object:
        if not action.url.startswith(self.server):
            return super().answer(action)
        name = type(action).__name__
        self.calls.append(name)
        if type(action) in self.down:
            raise DOWN
        der = self._next_certificate()
        if isinstance(action, Connect):
            assert action.url == self.server
            return der
        assert isinstance(action, Post | Put)
        assert action.headers == {"content-type": "application/json"}
        status, body = self._create(action) if isinstance(action, Post) else self._register(action)
        return Fetched(
            action.url,
            self.statuses.get(name, status),
            "application/json",
            body=self.bodies.get(name, body),
            tls_certificate=der,
        )

    def _next_certificate(self) -> bytes | None:
        if not self.shown:
            return None
        first, *others = self.shown
        self.shown = tuple(others) or self.shown
        return certificate(first) if first else b"no certificate"

    def _create(self, action: Post) -> tuple[int, bytes]:
        assert action.url == f"{self.server}/webauthn/accounts"
        self.account = json.loads(action.body)
        options, self.registration = begin_registration(
            self.party,
            User(id=HANDLE, name="Harbour", display_name="Harbour"),
            challenge=CHALLENGE,
            now=NOW.timestamp(),
            resident_key=ResidentKey.DISCOURAGED,
            user_verification=UserVerification.REQUIRED,
        )
        account = {"userId": USER_ID, "options": options}
        self.change(account)
        return 201, json.dumps(account).encode()

    def _register(self, action: Put) -> tuple[int, bytes]:
        assert action.url == f"{self.server}/webauthn/accounts/{USER_ID}"
        verified = verify_registration(
            read_registration(json.loads(action.body)["credential"]),
            expected_state=self.registration,
            expected_party=self.party,
            policy=AttestationPolicy(),
            is_known=False,
            now=NOW.timestamp(),
        )
        self.stored = StoredCredential(
            credential_id=verified.credential_id,
            public_key=verified.public_key,
            sign_count=verified.sign_count,
            user_handle=HANDLE,
            is_backup_eligible=verified.is_backup_eligible,
        )
        return 204, b""


def bind(
    website: Binder,
    *,
    person: Person | None = None,
    passkeys: Passkeys | None = None,
    key: bytes | None = None,
    allow_loopback_http: bool = False,
) -> Outcome:
    """A whole login by a link with a public key."""
    known = circumstances(allow_loopback_http=allow_loopback_http)
    return drive(open_link(link(website.server, key=key), known), website, person=person, passkeys=passkeys)


def failed(website: Binder, ended: Outcome, code: str, *, calls: list[str]) -> Outcome:
    """It ended so, and of the WebAuthn server no more was asked. Nobody is told where the login would have ended."""
    assert (ended.code, ended.address, ended.major) == (code, "", MAJOR_ERROR)
    assert not ended.is_sealed
    assert not ended.is_bound
    assert website.calls == calls
    assert REFRESH not in ended.message
    return ended


# ── what works ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_address_goes_sealed_and_the_server_gets_a_passkey_to_ask_the_browser_for() -> None:
    website, passkeys = Binder(), authenticator()
    assert bind(website, passkeys=passkeys) == Outcome("", is_sealed=True, is_bound=True)
    assert website.calls == ["Connect", "Post", "Put"]
    assert website.account["widgetSessionId"] == WIDGET
    assert website.account["attestationFormats"] == ["packed", "none"]
    sealed = website.account["sealedRefreshUrl"]
    address = open_refresh_url(sealed, private_key=KEY.private_bytes_raw(), session_id=WIDGET)
    assert address == f"{REFRESH}&ResultMajor=ok"
    assert website.stored is not None
    now = NOW.timestamp()
    options, state = begin_authentication(
        website.party, challenge=CHALLENGE, now=now, allow=(Descriptor(website.stored.credential_id, ("hybrid",)),)
    )
    answer = read_authentication(passkeys.sign(options, page=Page(website.origin)))
    verified = verify_authentication(
        answer, expected_state=state, expected_party=website.party, credential=website.stored, now=now
    )
    assert verified.sign_count == 1


def test_the_person_sees_for_which_site_and_account_the_passkey_is() -> None:
    person = Person()
    bind(Binder(), person=person)
    [asked] = person.passkeys_asked
    assert (asked.origin, asked.rp_id, asked.account) == ("https://widget.example", "widget.example", "Harbour")


@pytest.mark.parametrize("shown", [("next",), ("usual", "next"), ("usual", "usual", "next")])
def test_a_key_that_the_eservice_vouches_for_may_take_the_others_place(shown: tuple[str, ...]) -> None:
    vouched = WebAuthnServer("widget.example", (pin("usual"), pin("next")))
    assert bind(Binder(vouched=vouched, shown=shown)).is_ok


def test_the_port_is_a_part_of_who_it_is() -> None:
    website = Binder(
        server="https://widget.example:8443/auth", vouched=WebAuthnServer("widget.example:8443", (pin("usual"),))
    )
    assert bind(website).is_ok


def test_without_tls_no_key_is_needed_where_nothing_leaves_the_machine() -> None:
    website = Binder(server="http://localhost:8000/auth", vouched=WebAuthnServer("localhost:8000"), shown=())
    assert bind(website, allow_loopback_http=True).is_ok


# ── whom the client does not believe in ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "vouched",
    [
        None,
        WebAuthnServer("other.example", (pin("usual"),)),
        WebAuthnServer("auth.widget.example", (pin("usual"),)),
        WebAuthnServer("widget.example:8443", (pin("usual"),)),
    ],
)
def test_a_server_that_the_eservice_does_not_vouch_for_gets_nothing(vouched: WebAuthnServer | None) -> None:
    website = Binder(vouched=vouched)
    ended = failed(website, bind(website), "was_unknown", calls=[])
    assert ended.minor == ClientMinor.TRUSTED_CHANNEL_FAILED


def test_another_port_of_the_server_is_another_server() -> None:
    website = Binder(server="https://widget.example:8443/auth")
    failed(website, bind(website), "was_unknown", calls=[])


@pytest.mark.parametrize("shown", [("other",), ("",), ()], ids=["other key", "unreadable", "no TLS"])
def test_a_server_with_another_key_gets_nothing(shown: tuple[str, ...]) -> None:
    website = Binder(shown=shown)
    ended = failed(website, bind(website), "was_refused", calls=["Connect"])
    assert ended.minor == ClientMinor.TRUSTED_CHANNEL_FAILED


def test_without_a_key_that_is_vouched_for_no_tls_certificate_will_do() -> None:
    website = Binder(vouched=WebAuthnServer("widget.example"))
    failed(website, bind(website), "was_refused", calls=["Connect"])


@pytest.mark.parametrize("shown", [("usual", "other"), ("usual", "")])
def test_a_certificate_that_changes_before_the_account_is_asked_for_ends_it(shown: tuple[str, ...]) -> None:
    website, person = Binder(shown=shown), Person()
    failed(website, bind(website, person=person), "was_refused", calls=["Connect", "Post"])
    assert person.passkeys_asked == []


def test_a_certificate_that_changes_before_the_passkey_is_sent_ends_it() -> None:
    website = Binder(shown=("usual", "usual", "other"))
    failed(website, bind(website), "was_refused", calls=["Connect", "Post", "Put"])


@pytest.mark.parametrize(
    ("server", "is_allowed"),
    [
        ("http://localhost:8000/auth", False),
        ("http://widget.example/auth", True),
        ("https://user@widget.example/auth", True),
    ],
)
def test_an_address_that_a_client_must_not_use_is_not_used(server: str, is_allowed: bool) -> None:
    website = Binder(server=server, vouched=WebAuthnServer(domain_of(server)), shown=())
    failed(website, bind(website, allow_loopback_http=is_allowed), "address_refused", calls=[])


def test_a_server_that_has_keys_must_show_one() -> None:
    vouched = WebAuthnServer("localhost:8000", (pin("usual"),))
    website = Binder(server="http://localhost:8000/auth", vouched=vouched, shown=())
    failed(website, bind(website, allow_loopback_http=True), "was_refused", calls=["Connect"])


@pytest.mark.parametrize(
    ("kind", "calls"),
    [(Connect, ["Connect"]), (Post, ["Connect", "Post"]), (Put, ["Connect", "Post", "Put"])],
)
def test_a_server_that_does_not_answer_ends_it(kind: type, calls: list[str]) -> None:
    website = Binder(down=frozenset({kind}))
    failed(website, bind(website), Unreachable("").code, calls=calls)


# ── what the server may answer ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 409, 410, 421, 429, 500])
def test_a_server_that_makes_no_account_ends_it_before_the_person_is_asked(status: int) -> None:
    website, person = Binder(statuses={"Post": status}), Person()
    ended = failed(website, bind(website, person=person), "account_refused", calls=["Connect", "Post"])
    assert (ended.message, ended.minor) == (
        f"WebAuthn server: expected status 201, found {status}",
        ClientMinor.COMMUNICATION_ERROR,
    )
    assert person.passkeys_asked == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"code":"session_unknown","message":"x"}', " (session_unknown)"),
        (b'{"code":"<b>Bank</b>"}', ""),
        (b'{"code":1}', ""),
        (b"\xff", ""),
    ],
)
def test_the_reason_is_told_if_it_is_a_code(body: bytes, said: str) -> None:
    website = Binder(statuses={"Post": 404}, bodies={"Post": body})
    assert bind(website).message == f"WebAuthn server: expected status 201, found 404{said}"


@pytest.mark.parametrize("status", [200, 201, 400, 404, 409])
def test_a_server_that_does_not_take_the_passkey_ends_it(status: int) -> None:
    website = Binder(statuses={"Put": status})
    ended = failed(website, bind(website), "account_refused", calls=["Connect", "Post", "Put"])
    assert ended.message == f"WebAuthn server: expected status 204, found {status}"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"userId":1,"options":{}}', b'{"userId":"x"}', b"\xff"])
def test_an_answer_that_is_no_account_is_refused(body: bytes) -> None:
    website = Binder(bodies={"Post": body})
    failed(website, bind(website), "answer_invalid", calls=["Connect", "Post"])


def _set(name: str, value: object) -> Change:
    """Changes a member of the server's answer; the name is a path."""

    def change(account: dict[str, Any]) -> None:
        *parents, last = name.split(".")
        for each in parents:
            account = account[each]
        account[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_set("userId", "../../devices"), "answer_invalid"),
        (_set("userId", b64url(bytes(31))), "answer_invalid"),
        (_set("userId", b64url(bytes(32))), "answer_invalid"),
        (_set("options.user.id", b64url(bytes(32))), "answer_invalid"),
        (_set("options.user", None), "authenticator_options_malformed"),
        (_set("options", {}), "authenticator_options_malformed"),
        (_set("options.rp.id", "other.example"), "authenticator_rp_id_refused"),
        (_set("options.rp.id", "auth.widget.example"), "authenticator_rp_id_refused"),
    ],
)
def test_options_that_no_person_should_see_are_not_shown(change: Change, code: str) -> None:
    website, person = Binder(change=change), Person()
    failed(website, bind(website, person=person), code, calls=["Connect", "Post"])
    assert person.passkeys_asked == []


def test_options_that_the_authenticator_cannot_follow_end_it() -> None:
    website = Binder(change=_set("options.pubKeyCredParams", [{"type": "public-key", "alg": -257}]))
    failed(website, bind(website), "authenticator_algorithm_unsupported", calls=["Connect", "Post"])


# ── what the person and the link may do ───────────────────────────────────────────────────────────────────────────────


def test_who_does_not_want_a_passkey_sends_none_and_keeps_none() -> None:
    website, kept = Binder(), MemoryCredentials()
    passkeys = Passkeys(kept, random=stream("passkeys"), clock=NOW.timestamp)
    ended = bind(website, person=Person(makes_passkeys=False), passkeys=passkeys)
    failed(website, ended, "cancelled", calls=["Connect", "Post"])
    assert ended.minor == ClientMinor.CANCELLATION_BY_USER
    assert kept.credentials() == ()


def test_who_cancels_before_sends_nothing_there() -> None:
    website = Binder()
    assert bind(website, person=Person(agrees=False)).code == "cancelled"
    assert website.calls == []


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31)])
def test_a_public_key_with_which_anybody_could_open_is_not_used(key: bytes) -> None:
    website = Binder()
    failed(website, bind(website, key=key), "widget_key_invalid", calls=["Connect"])
