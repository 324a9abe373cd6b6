"""A stand-in for the server of passkeys: its pages, and its calls with real ceremonies; and Chromium's authenticator.

The server is at ``localhost``, since no passkey belongs to an IP address.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from dataclasses import replace as changed
from itertools import count
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Locator, Page, expect

from tests.browser.wire import Answer, Receive, Scope, Send, Wire
from useid_middleware._codec import b64url, replace
from useid_middleware.identity import Level
from useid_middleware.webauthn.core.authentication import StoredCredential, verify_authentication
from useid_middleware.webauthn.core.decoys import with_decoys
from useid_middleware.webauthn.core.errors import CeremonyError
from useid_middleware.webauthn.core.extensions import RegistrationExtensions
from useid_middleware.webauthn.core.options import (
    ALL_HINTS,
    AuthenticationState,
    Descriptor,
    RegistrationState,
    ResidentKey,
    User,
    begin_authentication,
    begin_registration,
    hints_for,
)
from useid_middleware.webauthn.core.registration import VerifiedRegistration, verify_registration
from useid_middleware.webauthn.core.relying_party import RelyingParty
from useid_middleware.webauthn.core.response import read_authentication, read_registration
from useid_middleware.webauthn.core.trust import AttestationPolicy
from useid_middleware.widget.passkey_pages import passkeys_page, step_up_page
from useid_middleware.widget.serve import LOGIN_POLICY, Way, login_page

LOGIN_OPTIONS = "POST /passkeys/login/options"
LOGIN = "POST /passkeys/login"
STEP_UP = "POST /passkeys/step-up"
REGISTER = "POST /passkeys"
LIST = "GET /passkeys"
ADA = User(bytes(range(32)), "ada", "Ada Lovelace")
NOW = 1_800_000_000.0
#: A page of the host app that has a field of its own.
_HOST = """<!doctype html><html lang="en"><title>Shop</title><main><h1>Shop</h1>
<label>Account <input id="account" autocomplete="username webauthn"></label>
<script type="module" src="/auth/widget/useid-passkey.js"></script>
<useid-passkey server="/auth" for="account"></useid-passkey></main></html>"""

_Reply = tuple[int, dict[str, Any]]


@dataclass(frozen=True)
class Kept:
    """A passkey as the server keeps it."""

    record: VerifiedRegistration
    label: str
    last_used_at: str | None = None


@dataclass
class PasskeyWire(Wire):
    """The server's state, which tests set. Ada is logged in; her passkeys are in ``kept`` by their public ids."""

    kept: dict[str, Kept] = field(default_factory=dict)
    resident_key: ResidentKey = ResidentKey.PREFERRED
    #: Seconds that a ceremony may take.
    lifetime: float = 300
    username: str = "ada"
    #: A further passkey is for who has stepped up since.
    demands_step_up: bool = False
    ways: tuple[Way, ...] = ()
    with_phone: bool = False
    #: Bodies of ``POST`` and ``PATCH``, by call.
    said: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.url = self.url.replace("127.0.0.1", "localhost")
        self.party = RelyingParty(id="localhost", name="Acme", origins=frozenset({self.url}))
        self._numbers = count(1)
        self._registrations: dict[str, RegistrationState] = {}
        self._authentications: dict[str, AuthenticationState] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what passkeys need; the rest is the login's."""
        path = scope["path"].removeprefix("/auth")
        lang = "de" if path.endswith("/de") else "en"
        pages: dict[str, Callable[[], bytes]] = {
            "login": lambda: login_page(
                server="/auth", app_name="Acme Shop", return_url="/orders", lang=lang, ways=self.ways,
                with_phone=self.with_phone, with_passkey=True,
            ),
            "manage": lambda: passkeys_page(server="/auth", app_name="Acme Shop", lang=lang, landing="/home"),
            "confirm": lambda: step_up_page(
                server="/auth", app_name="Acme Shop", level=Level.L2, return_url="/transfer", lang=lang,
                ways=self.ways, landing="/home",
            ),
            "host": _HOST.encode,
        }  # fmt: skip
        page = pages.get(path.removesuffix("/de").removeprefix("/"))
        if page is not None:
            headers = [
                (b"content-type", b"text/html; charset=utf-8"),
                (b"content-security-policy", LOGIN_POLICY.encode()),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": page()})
        elif path == "/passkeys" or path.startswith("/passkeys/"):
            await self._passkeys(f"{scope['method']} {path}", scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _passkeys(self, call: str, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        asked = json.loads(body) if body else {}
        if body:
            self.said.setdefault(call, []).append(asked)
        instead = next((answer for ending, answer in self.instead.items() if scope["path"].endswith(ending)), None)
        status, answer = (instead.status, None) if instead else self._judge(call, asked)
        text = instead.body if instead else "" if status == 204 else json.dumps(answer)
        extra = instead.headers if instead else ()
        headers = [(b"content-type", b"application/json"), *((name.encode(), value.encode()) for name, value in extra)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode()})
        # Counted when answered: what a test waits for has then happened.
        with self._asked_something:
            self.asked.append(call)
            self._asked_something.notify_all()

    def _judge(self, call: str, asked: dict[str, Any]) -> _Reply:
        method, _, path = call.partition(" ")
        try:
            match path.removeprefix("/passkeys").split("/"):
                case [""]:
                    return self._list() if method == "GET" else self._register(asked)
                case ["", "options"]:
                    return self._begin_registration()
                case ["", "login" | "step-up" as kind, "options"]:
                    return self._begin_authentication(kind, asked.get("username", ""))
                case ["", "login" | "step-up"]:
                    return self._authenticate(asked)
                case ["", passkey_id] if passkey_id in self.kept:
                    if method == "DELETE":
                        del self.kept[passkey_id]
                    else:
                        self.kept[passkey_id] = changed(self.kept[passkey_id], label=asked["label"])
                    return 204, {}
            return 404, {"code": "not_found", "message": "no such passkey"}
        except CeremonyError as error:
            return error.status_hint, {"code": error.code, "message": error.message}

    def _list(self) -> _Reply:
        passkeys = [
            {
                "id": passkey_id,
                "label": kept.label,
                "createdAt": "2026-03-05T10:00:00Z",
                "lastUsedAt": kept.last_used_at,
                "isBackedUp": kept.record.is_backed_up,
                "isDiscoverable": kept.record.extensions.is_discoverable,
                "transports": list(kept.record.transports),
                "credentialId": b64url(kept.record.credential_id),
            }
            for passkey_id, kept in self.kept.items()
        ]
        who = {"username": self.username, "displayName": ADA.display_name} if self.username else {}
        return 200, {"passkeys": passkeys, "userHandle": b64url(ADA.id), "rpId": self.party.id, **who}

    def _begin_registration(self) -> _Reply:
        if self.demands_step_up:
            return 403, {"code": "level_required", "message": "step up first"}
        number = next(self._numbers)
        options, state = begin_registration(
            self.party, ADA, challenge=number.to_bytes(32), now=NOW, lifetime=self.lifetime,
            exclude=self._descriptors(), resident_key=self.resident_key, hints=ALL_HINTS,
            extensions=RegistrationExtensions(cred_props=True),
        )  # fmt: skip
        self._registrations[f"c{number}"] = state
        return 200, {"ceremonyId": f"c{number}", "options": options}

    def _register(self, asked: dict[str, Any]) -> _Reply:
        record = verify_registration(
            read_registration(asked["credential"]), expected_state=self._registrations.pop(asked["ceremonyId"]),
            expected_party=self.party, policy=AttestationPolicy(), is_known=False, now=NOW,
        )  # fmt: skip
        passkey_id = f"passkey-{next(self._numbers)}"
        self.kept[passkey_id] = Kept(record, asked.get("label", "Passkey"))
        return 201, {"id": passkey_id, "label": self.kept[passkey_id].label, "createdAt": "2026-03-05T10:00:00Z"}

    def _begin_authentication(self, kind: str, username: str) -> _Reply:
        number = next(self._numbers)
        known = kind == "step-up"
        allow = self._descriptors() if known or username == self.username else ()
        if username:
            allow = with_decoys(allow, username, key=bytes(32))
        options, state = begin_authentication(
            self.party, challenge=number.to_bytes(32), now=NOW, lifetime=self.lifetime,
            allow=allow if known or username else (), user_handle=ADA.id if known else b"",
            hints=hints_for(allow) if known else ALL_HINTS,
        )  # fmt: skip
        self._authentications[f"c{number}"] = state
        return 200, {"ceremonyId": f"c{number}", "options": options}

    def _authenticate(self, asked: dict[str, Any]) -> _Reply:
        response = read_authentication(asked["credential"])
        found = [item for item in self.kept.items() if item[1].record.credential_id == response.credential_id]
        verified = verify_authentication(
            response, expected_state=self._authentications.pop(asked["ceremonyId"]), expected_party=self.party,
            credential=_stored(found[0][1].record) if found else None, now=NOW,
        )  # fmt: skip
        passkey_id, kept = found[0]
        record = replace(kept.record, sign_count=verified.sign_count)
        self.kept[passkey_id] = changed(kept, record=record, last_used_at="2026-04-01T10:00:00Z")
        self.demands_step_up = False
        who = {"userId": "u1", "username": ADA.name}
        return 200, {"redirectTo": asked.get("returnUrl", "/done"), "acr": "L2", "amr": ["pop", "hwk"], **who}

    def _descriptors(self) -> tuple[Descriptor, ...]:
        return tuple(Descriptor(kept.record.credential_id, kept.record.transports) for kept in self.kept.values())


def _stored(record: VerifiedRegistration) -> StoredCredential:
    return StoredCredential(
        credential_id=record.credential_id,
        public_key=record.public_key,
        sign_count=record.sign_count,
        user_handle=record.user_handle,
        is_backup_eligible=record.is_backup_eligible,
    )


class Authenticator:
    """Chromium's virtual authenticator of one page, and its user: present and verified, until a test says otherwise."""

    def __init__(self, page: Page, **options: Any) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("WebAuthn.enable", {"enableUI": False})
        wanted = {
            "protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "internal", "hasResidentKey": True,
            "hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True, **options,
        }  # fmt: skip
        self._id = self._session.send("WebAuthn.addVirtualAuthenticator", {"options": wanted})["authenticatorId"]

    def is_touched(self, touched: bool) -> None:
        """Whether somebody touches it when asked; otherwise it waits."""
        parameters = {"authenticatorId": self._id, "enabled": touched}
        self._session.send("WebAuthn.setAutomaticPresenceSimulation", parameters)

    def recognises(self, user: bool) -> None:
        """Whether it recognises its user; otherwise what is asked ends as a cancelled request does."""
        self._session.send("WebAuthn.setUserVerified", {"authenticatorId": self._id, "isUserVerified": user})

    def credentials(self) -> list[dict[str, Any]]:
        """What it keeps."""
        found: list[dict[str, Any]] = self._session.send("WebAuthn.getCredentials", {"authenticatorId": self._id})[
            "credentials"
        ]
        return found


class PasskeyCard:
    """The element's card on one of the stand-in server's pages."""

    def __init__(self, page: Page, wire: PasskeyWire) -> None:
        self.page = page
        self.wire = wire
        self.element = page.locator("useid-passkey")
        self.root = self.element.locator("section.card")
        self.status = self.root.locator(".message[role=status]")
        self.alert = self.root.locator("[role=alert]")
        self.field = self.root.locator("#username")
        self.rows = self.root.locator(".passkeys li")
        self.dialog = page.get_by_role("alertdialog")

    def open(self, path: str) -> "PasskeyCard":
        """Load a page: ``login``, ``manage``, ``confirm`` or ``host``."""
        self.page.goto(f"{self.wire.url}/auth/{path}")
        return self

    def shows(self, status: str) -> "PasskeyCard":
        """Wait until the card is in ``status``."""
        expect(self.root).to_have_attribute("data-status", status)
        return self

    def button(self, name: str) -> Locator:
        """The button of that name."""
        return self.root.get_by_role("button", name=name, exact=True)

    def add(self, label: str) -> None:
        """Make a passkey on the page that manages them, and name it."""
        self.button("Add a passkey").click()
        self.root.get_by_label("Name", exact=True).fill(label)
        self.button("Save").click()
        expect(self.rows.filter(has_text=label)).to_be_visible()
        self.shows("ready")

    def state(self) -> dict[str, Any]:
        """The element's ``state``."""
        state: dict[str, Any] = self.element.evaluate("(element) => element.state")
        return state


#: Keeps the browser from offering passkeys in a field, as browsers do that cannot.
NO_AUTOFILL = "PublicKeyCredential.isConditionalMediationAvailable = async () => false"
#: Keeps what the element's events said.
RECORD = """
window.told = [];
for (const name of ["useid-state", "useid-claimed", "useid-passkeys"]) {
  addEventListener(name, (event) => told.push([name, event.detail]));
}
"""


@pytest.fixture
def wire() -> Iterator[PasskeyWire]:
    """The stand-in server, started."""
    server = PasskeyWire()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def card(page: Page, wire: PasskeyWire) -> PasskeyCard:
    """The card in a browser of its own."""
    return PasskeyCard(page, wire)


@pytest.fixture
def authenticator(page: Page) -> Authenticator:
    """A platform authenticator without passkeys."""
    return Authenticator(page)


@pytest.fixture
def enrolled(card: PasskeyCard, authenticator: Authenticator) -> PasskeyCard:
    """Ada's card, after she has made a passkey; the browser offers none in fields."""
    card.page.add_init_script(NO_AUTOFILL)
    card.page.add_init_script(RECORD)
    card.open("manage").shows("ready").add("Laptop")
    return card


@pytest.fixture
def offered(card: PasskeyCard, authenticator: Authenticator) -> PasskeyCard:
    """As :func:`enrolled`, but the browser offers passkeys in fields: whoever touches the authenticator picks one."""
    card.open("manage").shows("ready").add("Laptop")
    authenticator.is_touched(touched=False)
    return card


def refused(status: int, code: str) -> Answer:
    """An error of the server."""
    return Answer(status, json.dumps({"code": code, "message": "m"}))
