"""The passkeys of the emulated device: made, kept, shown, and used for the pages of their own site on other devices."""

import json
import stat
from collections.abc import AsyncIterator
from hashlib import sha256
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, Final

import pytest

from tests.emulation.card.world import NOW, stream
from tests.emulation.client.phone_page import Page, page_of
from tests.emulation.client.scripted import phone
from useid_middleware._codec import b64url, un_b64url_any
from useid_middleware.cli import main
from useid_middleware.emulation.client.actions import CreateCredential
from useid_middleware.emulation.client.passkeys import MAX_KEPT, MemoryCredentials, Passkeys
from useid_middleware.emulation.phone.authenticator import AuthenticatorError
from useid_middleware.emulation.phone.authenticator_client import Page as Asking
from useid_middleware.emulation.phone.keys import KeyFile
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
from useid_middleware.webauthn.core.trust import AttestationPolicy

ORIGIN: Final = "https://widget.example"
PARTY: Final = RelyingParty(id="widget.example", name="Harbour", origins=frozenset({ORIGIN}))
ASKING: Final = Asking(ORIGIN)
CHALLENGE: Final = sha256(b"challenge").digest()
TIME: Final = NOW.timestamp()


def make(passkeys: Passkeys, *, handle: bytes = b"handle", account: str = "Harbour") -> StoredCredential:
    """A passkey as a bound login makes it, and what the server keeps of it."""
    options, state = begin_registration(
        PARTY,
        User(id=handle, name=account, display_name=account),
        challenge=CHALLENGE,
        now=TIME,
        resident_key=ResidentKey.DISCOURAGED,
        user_verification=UserVerification.REQUIRED,
    )
    credential = passkeys.create(CreateCredential(options, origin=ORIGIN, rp_id=PARTY.id, account=account))
    verified = verify_registration(
        read_registration(credential),
        expected_state=state,
        expected_party=PARTY,
        policy=AttestationPolicy(),
        is_known=False,
        now=TIME,
    )
    return StoredCredential(
        credential_id=verified.credential_id,
        public_key=verified.public_key,
        sign_count=verified.sign_count,
        user_handle=handle,
        is_backup_eligible=verified.is_backup_eligible,
    )


def ask(stored: StoredCredential) -> dict[str, Any]:
    """What the browser is asked for."""
    return begin_authentication(
        PARTY, challenge=CHALLENGE, now=TIME, allow=(Descriptor(stored.credential_id, ("hybrid",)),)
    )[0]


def verify(answer: object, stored: StoredCredential, *, origin: str = ORIGIN) -> int:
    """The signature counter of an answer that holds."""
    allow = (Descriptor(stored.credential_id, ("hybrid",)),)
    _, state = begin_authentication(
        PARTY, challenge=CHALLENGE, now=TIME, allow=allow, user_verification=UserVerification.REQUIRED
    )
    party = RelyingParty(id=PARTY.id, name=PARTY.name, origins=frozenset({origin}))
    return verify_authentication(
        read_authentication(answer), expected_state=state, expected_party=party, credential=stored, now=TIME
    ).sign_count


@pytest.fixture
def passkeys() -> Passkeys:
    return Passkeys(MemoryCredentials(), random=stream("passkeys"), clock=lambda: TIME)


# ── the authenticator ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_signature_is_counted_and_comes_from_another_device(passkeys: Passkeys) -> None:
    stored = make(passkeys)
    answers = [passkeys.sign(ask(stored), page=ASKING) for _ in range(3)]
    assert [verify(answer, stored) for answer in answers] == [1, 2, 3]
    assert {answer["authenticatorAttachment"] for answer in answers} == {"cross-platform"}


def test_looking_which_passkey_it_would_be_signs_nothing(passkeys: Passkeys) -> None:
    stored = make(passkeys)
    found = passkeys.find(ask(stored), page=ASKING)
    assert (found.id, found.rp_id, found.user_name, found.sign_count) == (
        stored.credential_id,
        "widget.example",
        "Harbour",
        0,
    )
    assert verify(passkeys.sign(ask(stored), page=ASKING), stored) == 1


def test_a_page_of_another_site_gets_neither_signature_nor_name(passkeys: Passkeys) -> None:
    options = ask(make(passkeys))
    for step in (passkeys.find, passkeys.sign):
        with pytest.raises(AuthenticatorError) as caught:
            step(options, page=Asking("https://evil.example"))
        assert caught.value.code == "authenticator_rp_id_refused"


def test_what_is_refused_is_not_kept() -> None:
    kept = MemoryCredentials()
    passkeys = Passkeys(kept, random=stream("passkeys"), clock=lambda: TIME)
    with pytest.raises(AuthenticatorError):
        passkeys.create(CreateCredential({}, origin=ORIGIN, rp_id=PARTY.id, account="Harbour"))
    assert kept.credentials() == ()


def test_memory_forgets_the_oldest(passkeys: Passkeys) -> None:
    first, *others = [make(passkeys, handle=b"%d" % number) for number in range(MAX_KEPT + 1)]
    with pytest.raises(AuthenticatorError) as caught:
        passkeys.find(ask(first), page=ASKING)
    assert caught.value.code == "authenticator_no_credential"
    assert all(passkeys.find(ask(each), page=ASKING).id == each.credential_id for each in others)


# ── in a file, for the command line ───────────────────────────────────────────────────────────────────────────────────


def test_a_passkey_in_the_key_file_is_for_its_owner_alone_and_useid_phone_signs_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = KeyFile(tmp_path / "pki" / "phone")
    stored = make(Passkeys(keys, random=stream("passkeys"), clock=lambda: TIME))
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.home.stat().st_mode) == 0o700
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(json.dumps(ask(stored)).encode())))
    assert main(["phone", "sign", "--home", str(keys.home), "--origin", ORIGIN, "--yes"]) == 0
    assert verify(json.loads(capsys.readouterr().out.splitlines()[-1]), stored) == 1
    assert keys.credentials()[0].sign_count == 1


# ── the window's calls ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async for page in page_of(phone()):
        yield page


async def test_the_window_learns_who_it_would_be_and_gets_the_signature(page: Page) -> None:
    stored = make(page.phone.passkeys)
    body = {"origin": ORIGIN, "options": ask(stored)}
    shown = await page.http.post("/authenticator/account", json=body)
    assert (shown.status_code, shown.json()) == (200, {"site": "widget.example", "account": "Harbour"})
    for count in (1, 2):
        answer = await page.http.post("/authenticator", json=body)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert verify(answer.json(), stored) == count


async def test_the_signature_names_the_page_that_asked(page: Page) -> None:
    stored = make(page.phone.passkeys)
    origin = "https://login.widget.example"
    answer = (await page.http.post("/authenticator", json={"origin": origin, "options": ask(stored)})).json()
    assert json.loads(un_b64url_any(answer["response"]["clientDataJSON"]))["origin"] == origin
    assert verify(answer, stored, origin=origin) == 1


async def test_the_signature_names_the_page_that_frames_the_one_that_asked(page: Page) -> None:
    stored = make(page.phone.passkeys)
    body = {"origin": ORIGIN, "topOrigin": "https://shop.example", "options": ask(stored)}
    answer = (await page.http.post("/authenticator", json=body)).json()
    client_data = json.loads(un_b64url_any(answer["response"]["clientDataJSON"]))
    assert (client_data["crossOrigin"], client_data["topOrigin"]) == (True, "https://shop.example")


@pytest.mark.parametrize("path", ["/authenticator", "/authenticator/account"])
@pytest.mark.parametrize(
    ("origin", "changes", "code"),
    [
        ("https://evil.example", {}, "authenticator_rp_id_refused"),
        ("http://widget.example", {}, "authenticator_origin_refused"),
        ("", {}, "authenticator_origin_refused"),
        ("null", {}, "authenticator_origin_refused"),
        (ORIGIN, {"rpId": "other.example"}, "authenticator_rp_id_refused"),
        (
            ORIGIN,
            {"allowCredentials": [{"type": "public-key", "id": b64url(bytes(32))}]},
            "authenticator_no_credential",
        ),
        (ORIGIN, {"allowCredentials": []}, "authenticator_no_credential"),
        (ORIGIN, {"challenge": ""}, "authenticator_options_malformed"),
        (ORIGIN, {"challenge": 1}, "authenticator_options_malformed"),
    ],
)
async def test_a_page_that_asks_for_what_is_not_its_own_gets_nothing(
    page: Page, path: str, origin: str, changes: dict[str, Any], code: str
) -> None:
    options = ask(make(page.phone.passkeys)) | changes
    response = await page.http.post(path, json={"origin": origin, "options": options})
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert "Harbour" not in response.text


@pytest.mark.parametrize("path", ["/authenticator", "/authenticator/account"])
@pytest.mark.parametrize(
    "body", [[], {}, {"origin": ORIGIN}, {"origin": 1, "options": {}}, {"origin": "", "options": 1}]
)
async def test_what_is_no_question_is_refused(page: Page, path: str, body: Any) -> None:
    response = await page.http.post(path, json=body)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("path", ["/authenticator", "/authenticator/account"])
@pytest.mark.parametrize("header", [{"origin": ORIGIN}, {"sec-fetch-site": "cross-site"}])
async def test_a_page_of_another_site_cannot_call_for_itself(page: Page, path: str, header: dict[str, str]) -> None:
    stored = make(page.phone.passkeys)
    body = {"origin": ORIGIN, "options": ask(stored)}
    response = await page.http.post(path, json=body, headers=header)
    assert (response.status_code, response.json()["code"]) == (403, "cross_site_request")
    assert page.phone.passkeys.find(ask(stored), page=ASKING).sign_count == 0
