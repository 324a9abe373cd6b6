"""``useid eid-client`` against the example app with its embedded eID server, over real TLS; and the person it plays."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.ausweisapp.serving import AGE, Country, TLSServer, found_country
from useid_middleware._codec import b64url
from useid_middleware.cli import main
from useid_middleware.eac.keys import PasswordId
from useid_middleware.eid.core.sealing import open_refresh_url
from useid_middleware.emulation.client.actions import Authentication, CreateCredential, PasswordRequest
from useid_middleware.emulation.client.terminal import TerminalPerson, ask_on_terminal, describe_request
from useid_middleware.webauthn.core.sealing import open_refresh_url as open_for_key

SECRET = bytes(range(32))
PUBLIC_KEY = X25519PrivateKey.from_private_bytes(SECRET).public_key().public_bytes_raw()


@dataclass
class Told:
    """What the command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass
class Place:
    """A served app, and the PKI that its eID server shares with the cards."""

    server: TLSServer
    country: Country
    capsys: pytest.CaptureFixture[str]

    def browser(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.server.origin, verify=self.server.trust, follow_redirects=False)

    def start(self, browser: httpx2.Client, mode: str = "same-device") -> dict[str, Any]:
        response = browser.post("/auth/eid/start", json={"mode": mode}, headers={"origin": self.server.origin})
        assert response.status_code == 201, response.text
        started: dict[str, Any] = response.json()
        return started

    def run(self, link: str, *arguments: str) -> Told:
        self.capsys.readouterr()
        code = main(["eid-client", link, "--pki", str(self.country.folder), *arguments])
        out, err = self.capsys.readouterr()
        return Told(code, out, err)


class BindingServer(TLSServer):
    """One whose logins may be bound by WebAuthn, and which vouches for itself."""

    def __init__(self, folder: Path, *, country: Path) -> None:
        super().__init__(folder, country=country)
        keys = json.dumps([str(self.certificate)])
        self._env |= {"USEID_WEBAUTHN__ENABLED": "true", "USEID_EID__WEBAUTHN_SERVER_KEYS": keys}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TLSServer, Country]]:
    country = found_country(tmp_path_factory.mktemp("country") / "pki", generations=2)
    server = BindingServer(tmp_path_factory.mktemp("server"), country=country.folder)
    server.start()
    yield server, country
    server.stop()


@pytest.fixture
def place(served: tuple[TLSServer, Country], capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(*served, capsys)


def test_the_browser_that_began_is_logged_in_at_the_printed_address(place: Place) -> None:
    with place.browser() as browser:
        told = place.run(place.start(browser)["tcTokenUrl"], "--pin", "123456", "--yes")
        assert told.code == 0
        address = told.out.strip()
        assert address.startswith(f"{place.server.origin}/auth/eid/refresh/")
        assert address.endswith("?ResultMajor=ok")
        assert browser.get(address).status_code == 303
        assert browser.get("/told").json()["attributes"]["GivenNames"] == "ERIKA"


def test_it_says_that_it_is_an_emulation_and_who_asks_for_what(place: Place) -> None:
    with place.browser() as browser:
        told = place.run(place.start(browser)["clientUrl"], "--pin", "123456", "--yes")
    first, *lines = told.err.splitlines()
    assert "emulated" in first
    assert f"TEST eID server of useid-middleware  {place.server.origin}" in lines
    assert any(line.startswith("required: ") and "restricted_identification" in line for line in lines)
    assert "optional: read_dg7, read_dg9" in lines
    assert any(f"at least {AGE}" in line for line in lines)
    assert "123456" not in told.err


def test_a_right_can_be_denied(place: Place) -> None:
    with place.browser() as browser:
        link = place.start(browser)["tcTokenUrl"]
        told = place.run(link, "--pin", "123456", "--yes", "--json", "--deny", "read_dg7")
        assert told.json["granted"] == ["READ_DG9"]
        browser.get(told.json["address"])
        assert "AcademicTitle" not in browser.get("/told").json()["attributes"]


@pytest.mark.parametrize("arguments", [("--cancel",), ("--deny", "read_dg4", "--yes"), ()])
def test_who_cancels_denies_what_is_required_or_does_not_agree_is_not_logged_in(
    place: Place, arguments: tuple[str, ...]
) -> None:
    with place.browser() as browser:
        started = place.start(browser)
        told = place.run(started["tcTokenUrl"], "--pin", "123456", "--json", *arguments)
        assert told.code == 1
        assert told.json["code"] == "cancelled"
        assert parse_qs(urlsplit(told.json["address"]).query)["ResultMinor"] == ["cancellationByUser"]
        status = browser.get(f"/auth/eid/session/{started['sessionId']}").json()
        assert (status["status"], status["reason"]) == ("rejected", "cancelled")


def test_the_widget_gets_the_address_sealed(place: Place) -> None:
    with place.browser() as browser:
        started = place.start(browser, mode="integrated")
        told = place.run(f"{started['qrData']}#widgetSessionSecret={b64url(SECRET)}", "--pin", "123456", "--yes")
        assert (told.code, told.out) == (0, "")
        assert "goes on" in told.err
        status = browser.get(f"/auth/eid/session/{started['sessionId']}").json()
        assert status["status"] == "approved"
        address = open_refresh_url(status["sealedRefreshUrl"], secret=SECRET, session_id=started["sessionId"])
        assert browser.get(address).status_code == 303
        assert browser.get("/told").json()["user"]


def test_a_bound_login_leaves_a_passkey_that_useid_phone_signs_with(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.browser() as browser:
        started = place.start(browser, mode="bound")
        told = place.run(f"{started['qrData']}#widgetPublicKey={b64url(PUBLIC_KEY)}", "--pin", "123456", "--yes")
        assert (told.code, told.out) == (0, "")
        home = place.country.folder / "phone"
        assert "  passkey of localhost, account Harbour" in told.err.splitlines()
        assert f"useid phone sign --home {home} " in told.err
        asked = browser.get(f"/auth/eid/session/{started['sessionId']}").json()
        assert asked["status"] == "authenticating"
        monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(json.dumps(asked["options"]).encode())))
        assert main(["phone", "sign", "--home", str(home), "--origin", place.server.origin, "--yes"]) == 0
        credential = json.loads(place.capsys.readouterr().out)
        account = f"/auth/webauthn/accounts/{asked['userId']}"
        origin = {"origin": place.server.origin}
        released = browser.post(f"{account}/assertions", json={"credential": credential}, headers=origin)
        assert released.status_code == 200, released.text
        address = open_for_key(released.json()["sealedRefreshUrl"], private_key=SECRET, session_id=started["sessionId"])
        assert browser.get(address).status_code == 303
        assert browser.get("/told").json()["attributes"]["GivenNames"] == "ERIKA"


def test_a_link_with_a_public_key_demands_that_the_eservice_vouches_for_the_server(place: Place) -> None:
    with place.browser() as browser:
        started = place.start(browser, mode="integrated")
        link = f"{started['qrData']}#widgetPublicKey={b64url(PUBLIC_KEY)}"
        told = place.run(link, "--pin", "123456", "--yes", "--json")
        assert (told.code, told.json["code"]) == (1, "was_unknown")
        assert (told.json["address"], told.json["isSealed"], told.json["isBound"]) == ("", False, False)
        assert "passkey" not in told.err


def test_a_wrong_pin_is_tried_once(place: Place, tmp_path: Path) -> None:
    state = tmp_path / "card.json"
    with place.browser() as browser:
        for tries in ("3 left", "2 left"):
            told = place.run(place.start(browser)["tcTokenUrl"], "--pin", "111111", "--yes", "--state", str(state))
            assert told.code == 1
            assert f"PIN: given, {tries}" in told.err
        told = place.run(
            place.start(browser)["tcTokenUrl"], "--pin", "123456", "--can", "500540", "--yes", "--state", str(state)
        )
    assert told.code == 0
    assert "PIN: given, 1 left" in told.err


def test_a_fault_of_the_card_can_be_chosen(place: Place) -> None:
    with place.browser() as browser:
        told = place.run(place.start(browser)["tcTokenUrl"], "--pin", "123456", "--yes", "--fault", "card-lost")
    assert told.code == 1
    assert told.err.splitlines()[-2].startswith("card_lost: the card was taken out")
    assert "ResultMinor=clientError" in told.out


@pytest.mark.parametrize("name", ["revoked", "expired"])
def test_a_card_that_is_not_valid_does_not_log_in(place: Place, name: str) -> None:
    with place.browser() as browser:
        told = place.run(place.start(browser)["tcTokenUrl"], "--pin", "123456", "--yes", "--json", "--card", name)
    assert (told.code, told.json["code"]) == (1, "server_refused")
    assert "ResultMinor=serverError" in told.json["address"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("https://localhost/x", "--pki", "/nowhere"), "has no test PKI"),
        (("javascript:alert(1)",), "link_malformed"),
        (("https://localhost/x", "--deny", "read_dg99"), "--deny: expected rights among age_verification"),
        (("https://localhost/x", "--card", "nobody"), "personality: expected"),
        (("https://localhost/x", "--fault", "unknown"), "fault: expected"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(place: Place, arguments: tuple[str, ...], message: str) -> None:
    told = place.run(*arguments)
    assert (told.code, told.out) == (1, "")
    assert message in told.err.splitlines()[-1]


def test_a_tctoken_that_cannot_be_had_leads_nowhere(place: Place) -> None:
    told = place.run(f"{place.server.origin}/auth/eid/tctoken/none", "--pin", "123456")
    assert (told.code, told.out) == (1, "")
    assert "channel_failed" in told.err


# ── the person in front of the terminal ───────────────────────────────────────────────────────────────────────────────

REQUEST = Authentication(
    subject_name="Har\x1b[31mbour",
    subject_url="https://localhost",
    issuer_name="A DV",
    issuer_url="",
    terms_of_usage="one\ntwo\u202e",
    valid_from=date(2026, 3, 1),
    valid_to=date(2026, 3, 31),
    required=("READ_DG4",),
    optional=("READ_DG6", "READ_DG7"),
    community_id="0276",
    transaction_info="Open\rsesame",
)


def person(*lines: str, **more: Any) -> tuple[TerminalPerson, list[str]]:
    """Somebody who types these lines, and what is shown to them."""
    said: list[str] = []
    typed = iter(lines)

    def ask(question: str) -> str:
        said.append(question)
        line = next(typed, None)
        if line is None:
            raise EOFError
        return line

    return TerminalPerson(passwords=more.pop("passwords", {}), say=said.append, ask=ask, **more), said


def test_what_could_move_the_cursor_is_not_shown() -> None:
    lines = list(describe_request(REQUEST))
    assert all(line.isprintable() for line in lines)
    assert "Har\N{REPLACEMENT CHARACTER}[31mbour  https://localhost" in lines
    assert "  | two\N{REPLACEMENT CHARACTER}" in lines
    assert "  asks whether you live in the community 0276" in lines


@pytest.mark.parametrize("line", ["y\n", "Yes"])
def test_somebody_may_agree_when_asked(line: str) -> None:
    someone, said = person(line)
    assert someone.confirm(REQUEST) == frozenset({"READ_DG6", "READ_DG7"})
    assert said[-1] == "Go on? [y/N] "


@pytest.mark.parametrize("line", ["", "n", "yess"])
def test_anything_else_is_no(line: str) -> None:
    assert person(line)[0].confirm(REQUEST) is None


PASSKEY = CreateCredential({}, origin="https://a.example", rp_id="a.example", account="Har\x1bbour")


def test_somebody_is_shown_for_which_site_a_passkey_is_and_may_agree() -> None:
    someone, said = person("y\n")
    assert someone.confirm_passkey(PASSKEY) is True
    assert "  passkey of a.example, account Har\N{REPLACEMENT CHARACTER}bour" in said
    assert said[-1] == "Make it? [y/N] "


@pytest.mark.parametrize("lines", [("",), ("n",), ()])
def test_who_does_not_say_yes_to_a_passkey_gets_none(lines: tuple[str, ...]) -> None:
    assert person(*lines)[0].confirm_passkey(PASSKEY) is False


def test_who_agreed_beforehand_is_told_and_not_asked() -> None:
    someone, said = person(agrees=True)
    assert someone.confirm_passkey(PASSKEY) is True
    assert all("?" not in line for line in said)


def test_a_password_is_asked_for_if_it_was_not_given() -> None:
    someone, said = person(" 123456\n", "")
    assert someone.enter_password(PasswordRequest(PasswordId.PIN, 6, 2)) == "123456"
    assert said == ["PIN (6 digits, 2 left): "]
    assert someone.enter_password(PasswordRequest(PasswordId.CAN, 6)) is None


def test_a_password_that_was_wrong_is_not_given_again() -> None:
    someone, said = person(passwords={PasswordId.PIN: "111111"})
    assert someone.enter_password(PasswordRequest(PasswordId.PIN, 6, 3)) == "111111"
    assert someone.enter_password(PasswordRequest(PasswordId.PIN, 6, 2, is_repeated=True)) is None
    assert said[1] == "PIN: wrong"
    assert "111111" not in repr(someone) + "".join(said)


class Typing(StringIO):
    """A terminal where somebody has typed already."""

    def isatty(self) -> bool:
        return True


def test_questions_go_to_standard_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", Typing("123456\n"))
    assert ask_on_terminal("PIN: ") == "123456\n"
    assert capsys.readouterr() == ("", "PIN: ")
    with pytest.raises(EOFError):
        ask_on_terminal("PIN: ")


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(EOFError):
            ask_on_terminal("? ")
