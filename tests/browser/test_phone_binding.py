"""Bound logins on the browser phone, in a real Chromium: approve, make the passkey, use it for a computer nearby."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.people import serious_findings
from tests.browser.test_phone_page import Desk
from tests.emulation.phone.fake_server import ACCOUNTS, SESSION_ID, USER_ID, WIDGET_KEY, FakeServer, serving
from useid_middleware._codec import b64url
from useid_middleware.emulation.phone.binding import MAX_REFRESH_URL, MOST_KEPT
from useid_middleware.qr.core.signing import Decision
from useid_middleware.webauthn.core.options import Conveyance

PUT = f"{ACCOUNTS}/{b64url(USER_ID)}"
SCAN = f"/session/{b64url(SESSION_ID)}"
KEPT = """async () => (await (await import("./credentials.js")).listCredentials())
  .map(({ id, signCount, privateKey }) => ({ id, signCount, extractable: privateKey.extractable }))"""


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A window high enough for the whole phone."""
    context = browser.new_context(locale="en-GB", timezone_id="Europe/Berlin", viewport={"width": 520, "height": 920})
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def desk(page: Page) -> Iterator[Desk]:
    """A phone with a key, at a server whose logins are bound: it is reached by a name, as passkeys want it."""
    server = FakeServer(is_bound=True)
    with serving(server) as address:
        origin = address.replace("127.0.0.1", "localhost")
        server.server = f"{origin}/auth"
        page.goto(f"{origin}/phone/")
        desk = Desk(server, origin, page)
        desk.enrol()
        yield desk


def _press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def _shows(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_focused()


def _approve(desk: Desk) -> None:
    desk.scan(desk.server.login_link())
    _shows(desk.page, "Log in?")
    _press(desk.page, "Approve")


def _bind(desk: Desk) -> None:
    _approve(desk)
    _press(desk.page, "Make passkey")
    _shows(desk.page, "Approved")


@pytest.mark.parametrize("conveyance", [Conveyance.NONE, Conveyance.DIRECT])
def test_an_approved_login_is_bound_by_a_passkey_of_the_phone(desk: Desk, conveyance: Conveyance) -> None:
    desk.server.conveyance = conveyance
    desk.scan(desk.server.login_link())
    expect(desk.page.get_by_text("It first asks for a passkey")).to_be_visible()
    desk.shoot("bound-request")
    _press(desk.page, "Approve")
    _shows(desk.page, "Make a passkey?")
    expect(desk.page.locator("#create-site")).to_have_text("localhost")
    desk.shoot("bound-create")
    assert desk.server.opened == f"{desk.server.server}/session/refresh/{'t' * 43}"
    assert len(desk.server.calls) == 3
    _press(desk.page, "Make passkey")
    _shows(desk.page, "Approved")
    expect(desk.page.get_by_text("The other device asks for this phone’s passkey now.")).to_be_visible()
    expect(desk.page.get_by_label("Confirmation code")).to_be_hidden()
    desk.shoot("bound-approved")
    assert [path for path, _ in desk.server.calls] == [SCAN, "/approve", ACCOUNTS, PUT]
    assert desk.server.registered is not None
    kept = desk.page.evaluate(KEPT)
    assert kept == [{"id": b64url(desk.server.registered.credential_id), "signCount": 0, "extractable": False}]


def test_the_passkey_is_kept_before_it_is_sent(desk: Desk) -> None:
    kept: list[int] = []

    def look(route: Route) -> None:
        if route.request.method == "PUT":
            kept.append(len(desk.page.evaluate(KEPT)))
        route.fallback()

    desk.page.route("**/webauthn/**", look)
    _bind(desk)
    assert kept == [1]


def test_a_login_that_is_not_bound_asks_for_no_passkey(desk: Desk) -> None:
    desk.server.is_bound = False
    desk.scan(f"{desk.server.login_link()}#key={b64url(WIDGET_KEY)}")
    _shows(desk.page, "Log in?")
    expect(desk.page.get_by_text("It first asks for a passkey")).to_be_hidden()
    _press(desk.page, "Approve")
    expect(desk.page.get_by_label("Confirmation code")).to_be_visible()
    assert [path for path, _ in desk.server.calls] == [SCAN, "/approve"]


def test_a_link_without_a_good_key_is_refused_before_the_user_is_asked(desk: Desk) -> None:
    for widget_key, code in (
        (None, "widget_key_missing"),
        (bytes(32), "widget_key_invalid"),
        (b"\x01" + bytes(31), "widget_key_invalid"),
    ):
        desk.scan(desk.server.login_link(widget_key=widget_key))
        desk.expect_error(code)
        expect(desk.page.get_by_text("Refresh it on the desktop and scan again.").first).to_be_visible()
        _press(desk.page, "Back")
    assert {path for path, _ in desk.server.calls} == {SCAN}


def test_a_server_without_a_name_is_refused_before_the_user_is_asked(page: Page) -> None:
    server = FakeServer(is_bound=True)
    with serving(server) as origin:
        page.goto(f"{origin}/phone/")
        desk = Desk(server, origin, page)
        desk.enrol()
        desk.scan(server.login_link())
        desk.expect_error("authenticator_origin_refused")
        expect(page.get_by_text("Passkeys need a website over https").first).to_be_visible()
        assert [path for path, _ in server.calls] == [SCAN]


def test_an_end_that_is_not_at_the_servers_origin_is_handed_to_nobody(desk: Desk) -> None:
    for refresh_url in (
        "https://evil.example/",
        "http://localhost@evil.example/",
        "http://localhost/",
        f"{desk.origin}.evil.example/",
        f"{desk.origin}/\\evil.example",
        f"{desk.origin}/{'x' * MAX_REFRESH_URL}",
        "javascript:alert(1)",
        "/path",
    ):
        desk.server.refresh_url = refresh_url
        _approve(desk)
        desk.expect_error("answer_invalid")
        _press(desk.page, "Back")
    assert {path for path, _ in desk.server.calls} == {SCAN, "/approve"}


def test_somebody_who_approves_and_makes_no_passkey_rejects_after_all(desk: Desk) -> None:
    _approve(desk)
    _shows(desk.page, "Make a passkey?")
    _press(desk.page, "Cancel")
    _shows(desk.page, "Rejected")
    assert desk.page.evaluate(KEPT) == []
    assert [path for path, _ in desk.server.calls] == [SCAN, "/approve", ACCOUNTS, "/reject"]
    assert desk.server.decision is Decision.REJECT


def test_a_no_to_a_bound_login_is_a_signed_rejection_and_nothing_else(desk: Desk) -> None:
    desk.scan(desk.server.login_link())
    _press(desk.page, "Reject")
    _shows(desk.page, "Rejected")
    assert desk.server.decision is Decision.REJECT
    assert [path for path, _ in desk.server.calls] == [SCAN, "/reject"]


def test_an_account_that_is_none_is_refused_before_the_user_is_asked(desk: Desk) -> None:
    foreign = {"user": {"id": b64url(USER_ID)}, "rp": {"id": "evil"}}
    answers: list[tuple[int, object, str]] = [
        (404, {"code": "session_unknown", "message": "x"}, "session_unknown"),
        (404, {"code": True}, "answer_invalid"),
        (200, {"userId": b64url(USER_ID), "options": {}}, "answer_invalid"),
        (204, b"", "answer_invalid"),
        (201, {"userId": "x", "options": {}}, "answer_invalid"),
        (201, {"userId": b64url(USER_ID)}, "answer_invalid"),
        (201, {"userId": b64url(USER_ID), "options": {"user": {"id": b64url(bytes(32))}}}, "answer_invalid"),
        (201, {"userId": b64url(USER_ID), "options": foreign}, "authenticator_rp_id_refused"),
    ]
    for status, answer, code in answers:
        desk.server.fail(ACCOUNTS, status, answer)
        _approve(desk)
        desk.expect_error(code)
        _press(desk.page, "Back")
    assert desk.page.evaluate(KEPT) == []


def test_a_passkey_that_the_server_refused_is_forgotten_and_one_that_it_may_have_is_kept(desk: Desk) -> None:
    for status, kept in ((401, 0), (409, 0), (503, 1)):
        desk.server.fail(PUT, status, {"code": "some_refusal", "message": "why"})
        _approve(desk)
        _press(desk.page, "Make passkey")
        desk.expect_error("some_refusal")
        assert len(desk.page.evaluate(KEPT)) == kept
        _press(desk.page, "Back")


def test_passkeys_of_old_logins_make_room(desk: Desk) -> None:
    made = desk.page.evaluate(
        """async ([server, options, times]) => {
          const { makePasskey } = await import("./binding.js");
          const ids = [];
          for (let time = 0; time < times; time += 1) {
            ids.push((await makePasskey({ binding: { origin: location.origin }, rpId: "localhost", options })).id);
          }
          return ids;
        }""",
        [
            desk.server.server,
            {
                "rp": {"id": "localhost", "name": "x"},
                "user": {"id": "AAAA", "name": "x", "displayName": "x"},
                "challenge": "AAAA",
                "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
            },
            MOST_KEPT + 3,
        ],
    )
    kept = {each["id"] for each in desk.page.evaluate(KEPT)}
    assert len(kept) == MOST_KEPT
    assert made[-1] in kept


def test_passkeys_are_listed_and_removed_after_a_question(desk: Desk) -> None:
    _bind(desk)
    _press(desk.page, "Done")
    expect(desk.page.get_by_role("heading", name="Your passkeys")).to_be_visible()
    desk.shoot("passkeys")
    remove = desk.page.get_by_role("button", name="Remove the passkey of Tana at localhost")
    desk.page.once("dialog", lambda dialog: dialog.dismiss())
    remove.click()
    expect(remove).to_be_visible()
    desk.page.once("dialog", lambda dialog: dialog.accept())
    remove.click()
    expect(remove).to_be_hidden()
    expect(desk.page.get_by_role("status")).to_have_text("Passkey removed.")
    expect(desk.page.get_by_role("heading", name="Your passkeys")).to_be_hidden()
    expect(desk.page.get_by_role("listitem")).to_contain_text(["Tana"])


# ── a computer nearby ──

COMPUTER = """<!doctype html><html lang="en"><title>Computer</title>
<script type="module" src="/phone/hybrid.js"></script>
"""
ASK = """(options) => {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  window.stop = new AbortController();
  const found = (credential) => ({
    credential: credential.toJSON(),
    id: credential.id,
    rawId: credential.rawId instanceof ArrayBuffer,
    type: credential.type,
    attachment: credential.authenticatorAttachment,
    results: credential.getClientExtensionResults(),
  });
  window.asked = navigator.credentials.get({ publicKey, signal: stop.signal })
    .then(found, (error) => ({ error: error.name }));
}"""


def _computer(desk: Desk, *, head: str = "") -> Page:
    """A page of the same origin, with the emulated transport in it; its browser has no passkey of its own."""
    page = desk.page.context.new_page()
    policy = "default-src 'none'; script-src 'self'; require-trusted-types-for 'script'"
    page.route(
        "**/computer",
        lambda route: route.fulfill(
            body=COMPUTER + head, headers={"content-type": "text/html", "content-security-policy": policy}
        ),
    )
    page.goto(f"{desk.origin}/computer")
    # Of two windows of a browser, the one behind is slow.
    desk.page.bring_to_front()
    return page


def _ask(computer: Page, options: dict[str, Any], **changed: Any) -> None:
    computer.evaluate(ASK, options | changed)


def _asked(computer: Page) -> dict[str, Any]:
    found: dict[str, Any] = computer.evaluate("asked")
    return found


def test_a_computer_nearby_gets_the_passkey_after_the_user_saw_who_asks(desk: Desk) -> None:
    _bind(desk)
    computer = _computer(desk)
    for count in range(2):
        _ask(computer, desk.server.assertion_options())
        _shows(desk.page, "A computer nearby asks for your passkey")
        details = desk.page.locator("#nearby-details")
        expect(details).to_contain_text(desk.origin)
        expect(details).to_contain_text("Tana")
        desk.shoot("nearby")
        _press(desk.page, "Use passkey")
        _shows(desk.page, "Passkey used")
        found = _asked(computer)
        assert (found["type"], found["rawId"], found["attachment"]) == ("public-key", True, "cross-platform")
        assert found["results"] == {}
        verified = desk.server.verify_assertion(found["credential"], sign_count=count)
        assert (verified.sign_count, verified.attachment) == (count + 1, "cross-platform")
        assert desk.server.registered is not None
        assert found["id"] == b64url(desk.server.registered.credential_id)


def test_somebody_who_declines_gives_nothing_and_may_be_asked_again(desk: Desk) -> None:
    _bind(desk)
    computer = _computer(desk)
    _ask(computer, desk.server.assertion_options())
    _press(desk.page, "Decline")
    _shows(desk.page, "Your keys")
    assert _asked(computer) == {"error": "NotAllowedError"}
    _ask(computer, desk.server.assertion_options())
    _press(desk.page, "Use passkey")
    assert desk.server.verify_assertion(_asked(computer)["credential"]).sign_count == 1


def test_a_computer_that_waits_no_more_takes_its_request_back(desk: Desk) -> None:
    _bind(desk)
    computer = _computer(desk)
    _ask(computer, desk.server.assertion_options())
    _shows(desk.page, "A computer nearby asks for your passkey")
    computer.evaluate("stop.abort()")
    assert _asked(computer) == {"error": "AbortError"}
    _shows(desk.page, "Your keys")


def test_a_request_that_nobody_answers_in_its_time_is_over(desk: Desk) -> None:
    _bind(desk)
    computer = _computer(desk)
    _ask(computer, desk.server.assertion_options(), timeout=900)
    assert _asked(computer) == {"error": "NotAllowedError"}
    _shows(desk.page, "Your keys")


def test_a_phone_that_is_put_away_answers_for_its_user(desk: Desk) -> None:
    _bind(desk)
    computer = _computer(desk)
    _ask(computer, desk.server.assertion_options())
    _shows(desk.page, "A computer nearby asks for your passkey")
    desk.page.goto("about:blank")
    assert _asked(computer) == {"error": "NotAllowedError"}


def test_what_is_under_the_users_eyes_is_not_replaced(desk: Desk) -> None:
    _bind(desk)
    _press(desk.page, "Done")
    computer = _computer(desk)
    desk.scan(desk.server.login_link())
    _shows(desk.page, "Log in?")
    _watch_native(computer)
    _ask(computer, desk.server.assertion_options())
    assert _asked(computer) == {"error": "native"}
    expect(desk.page.get_by_role("heading", name="Log in?")).to_be_visible()


def _watch_native(computer: Page) -> None:
    """Reload with a browser whose own ``get`` says that it was asked."""
    computer.add_init_script(
        """navigator.credentials.get = ({ publicKey, mediation }) => {
          window.native = { hints: publicKey.hints, mediation };
          return Promise.reject(Object.assign(new Error(), { name: "native" }));
        };"""
    )
    computer.reload()


def test_a_phone_that_has_no_such_passkey_leaves_it_to_the_browser(desk: Desk) -> None:
    _bind(desk)
    computer = _computer(desk)
    _watch_native(computer)
    options = desk.server.assertion_options()
    unfit: list[dict[str, Any]] = [
        {"allowCredentials": [{"type": "public-key", "id": "AAAA"}]},
        {"rpId": "elsewhere.example"},
        {"allowCredentials": []},
    ]
    for changed in unfit:
        _ask(computer, options, **changed)
        assert _asked(computer) == {"error": "native"}
    assert desk.page.locator("[data-screen=nearby]").is_hidden()


def test_a_request_that_is_not_for_a_phone_goes_to_the_browser_as_it_is(desk: Desk) -> None:
    _bind(desk)
    computer = _computer(desk)
    _watch_native(computer)
    for hints in (["client-device"], []):
        _ask(computer, desk.server.assertion_options(), hints=hints)
        assert _asked(computer) == {"error": "native"}
        assert computer.evaluate("native.hints ?? []") == hints
    expect(desk.page.get_by_role("heading", name="Approved")).to_be_visible()


def test_a_request_of_the_autofill_goes_to_the_browser(desk: Desk) -> None:
    _bind(desk)
    computer = _computer(desk)
    _watch_native(computer)
    outcome = computer.evaluate(
        """async (options) => {
          const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
          await navigator.credentials.get({ publicKey, mediation: "conditional" }).catch((error) => error.name);
          return native.mediation;
        }""",
        desk.server.assertion_options(),
    )
    assert outcome == "conditional"


def test_a_page_cannot_ask_in_the_name_of_another(desk: Desk) -> None:
    _bind(desk)
    computer = _computer(desk)
    message = {
        "type": "useid:authenticate",
        "id": "one",
        "origin": "https://app.example",
        "options": desk.server.assertion_options(),
    }
    post = """(messages) => new Promise((resolve) => {
      const channel = new BroadcastChannel("useid-demo-phone");
      channel.onmessage = ({ data }) => resolve(data);
      for (const message of messages) channel.postMessage(message);
    })"""
    nonsense: list[Any] = [
        None,
        "text",
        message,
        message | {"origin": None},
        message | {"origin": desk.origin, "id": 7},
        message | {"origin": desk.origin, "topOrigin": "https://shop.example/"},
        message | {"origin": desk.origin, "options": None},
        message | {"origin": desk.origin, "id": "last"},
    ]
    assert computer.evaluate(post, nonsense) == {"type": "useid:here", "id": "last"}
    _shows(desk.page, "A computer nearby asks for your passkey")


def test_a_frame_says_within_which_page_it_is(desk: Desk) -> None:
    _bind(desk)
    computer = _computer(desk)
    message = {
        "type": "useid:authenticate",
        "id": "one",
        "origin": desk.origin,
        "topOrigin": "https://shop.example",
        "options": desk.server.assertion_options(),
    }
    computer.evaluate(
        """(message) => {
          window.channel = new BroadcastChannel("useid-demo-phone");
          window.answered = new Promise((resolve) => channel.addEventListener("message", ({ data }) => {
            if (data.type === "useid:credential") resolve(data.credential.response.clientDataJSON);
          }));
          channel.postMessage(message);
        }""",
        message,
    )
    expect(desk.page.locator("#nearby-details")).to_contain_text("https://shop.example")
    _press(desk.page, "Use passkey")
    client_data = computer.evaluate("answered.then((text) => atob(text.replaceAll('-', '+').replaceAll('_', '/')))")
    told = json.loads(client_data)
    assert (told["crossOrigin"], told["topOrigin"], told["origin"]) == (True, "https://shop.example", desk.origin)


def test_of_several_accounts_the_user_chooses_one(desk: Desk) -> None:
    desk.page.evaluate(
        """async () => {
          const { createCredential } = await import("./authenticator.js");
          for (const name of ["alice", "bob"]) {
            await createCredential({
              rp: { name: "x" }, user: { id: name === "bob" ? "AAAA" : "BBBB", name, displayName: name },
              challenge: "AAAA", pubKeyCredParams: [], authenticatorSelection: { residentKey: "required" },
            }, { gesture: "verification" });
          }
        }"""
    )
    computer = _computer(desk)
    _ask(computer, {"challenge": "AAAA", "hints": ["hybrid"], "userVerification": "required"})
    _shows(desk.page, "Which account?")
    _press(desk.page, "localhost, bob")
    expect(desk.page.locator("#nearby-details")).to_contain_text("bob")
    _press(desk.page, "Use passkey")
    assert _asked(computer)["credential"]["response"]["userHandle"] == "AAAA"
    _ask(computer, {"challenge": "AAAA", "hints": ["hybrid"]})
    _shows(desk.page, "Which account?")
    _press(desk.page, "Cancel")
    assert _asked(computer) == {"error": "NotAllowedError"}


# ── the phone in a window of its own ──

POPUP = """<!doctype html><title>Phone</title><h1>Phone</h1>"""
READY = "(opener ?? parent).postMessage({ type: 'useid:ready' }, '*')"


@pytest.fixture
def popup_desk(desk: Desk) -> Desk:
    """The computer knows of a phone at another origin, and no phone of its own origin has a passkey."""
    desk.page.context.route(
        "https://phone.example/**", lambda route: route.fulfill(body=POPUP, content_type="text/html")
    )
    return desk


def _popup(desk: Desk) -> tuple[Page, Page]:
    """The computer, and the window that it opened, which has a passkey for it."""
    meta = '<meta name="useid-demo-authenticator" content="https://phone.example/authenticator">'
    computer = _computer(desk, head=meta)
    options = {"challenge": "AAAA", "rpId": "localhost", "hints": ["hybrid"]}
    with computer.expect_popup() as opened:
        _ask(computer, options)
    popup = opened.value
    popup.evaluate(
        """() => {
          window.heard = [];
          window.next = new Promise((resolve) => addEventListener("message", ({ origin, data }) => {
            heard.push(origin);
            resolve(data);
          }));
        }"""
    )
    return computer, popup


def test_where_no_phone_of_the_origin_answers_the_one_in_the_window_does(popup_desk: Desk) -> None:
    computer, popup = _popup(popup_desk)
    popup.evaluate(READY)
    message = popup.evaluate("next")
    assert (message["type"], message["origin"]) == ("useid:authenticate", popup_desk.origin)
    asked = {"challenge": "AAAA", "rpId": "localhost", "hints": ["hybrid"]}
    assert {name: message["options"][name] for name in asked} == asked
    assert popup.evaluate("heard") == [popup_desk.origin]
    credential = {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {}, "clientExtensionResults": {}}
    with popup.expect_event("close"):
        popup.evaluate(
            "(answer) => opener.postMessage(answer, '*')",
            {"type": "useid:credential", "id": message["id"], "credential": credential},
        )
    assert _asked(computer)["credential"] == credential


def test_the_window_may_say_no_and_may_be_closed(popup_desk: Desk) -> None:
    computer, popup = _popup(popup_desk)
    popup.evaluate(READY)
    message = popup.evaluate("next")
    popup.evaluate(
        "(answer) => opener.postMessage(answer, '*')",
        {"type": "useid:credential", "id": message["id"], "error": "NotAllowedError"},
    )
    assert _asked(computer) == {"error": "NotAllowedError"}
    computer.close()
    computer, popup = _popup(popup_desk)
    popup.close()
    assert _asked(computer) == {"error": "NotAllowedError"}


def test_only_the_window_at_its_own_address_is_told_and_heard(popup_desk: Desk) -> None:
    computer, popup = _popup(popup_desk)
    popup.evaluate(READY)
    message = popup.evaluate("next")
    answer = {"type": "useid:credential", "id": message["id"], "error": "DataError"}
    # Another answer's id, and another window with the right one.
    popup.evaluate("(answer) => opener.postMessage(answer, '*')", answer | {"id": "another"})
    computer.evaluate("(answer) => postMessage(answer, '*')", answer)
    computer.evaluate("() => postMessage({ type: 'useid:ready' }, '*')")
    popup.evaluate("(answer) => opener.postMessage(answer, '*')", answer | {"error": "NotAllowedError"})
    assert _asked(computer) == {"error": "NotAllowedError"}


def test_a_request_that_is_taken_back_closes_the_window(popup_desk: Desk) -> None:
    computer, popup = _popup(popup_desk)
    with popup.expect_event("close"):
        computer.evaluate("stop.abort()")
    assert _asked(computer) == {"error": "AbortError"}


def test_the_script_says_that_it_is_an_emulation(desk: Desk) -> None:
    with desk.page.context.expect_event("console", lambda message: "EMULATED" in message.text) as said:
        _computer(desk)
    assert said.value.type == "info"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_new_screen_has_a_serious_barrier(desk: Desk, scheme: Any) -> None:
    desk.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    desk.scan(desk.server.login_link())
    _shows(desk.page, "Log in?")
    assert serious_findings(desk.page) == []
    _press(desk.page, "Approve")
    _shows(desk.page, "Make a passkey?")
    assert serious_findings(desk.page) == []
    desk.shoot(f"bound-create-{scheme}")
    _press(desk.page, "Make passkey")
    _shows(desk.page, "Approved")
    _press(desk.page, "Done")
    expect(desk.page.get_by_role("heading", name="Your passkeys")).to_be_visible()
    assert serious_findings(desk.page) == []
    computer = _computer(desk)
    _ask(computer, desk.server.assertion_options())
    _shows(desk.page, "A computer nearby asks for your passkey")
    assert serious_findings(desk.page) == []
    desk.shoot(f"nearby-{scheme}")


def test_a_german_reader_is_addressed_in_german(browser: Browser) -> None:
    server = FakeServer(is_bound=True)
    with serving(server) as address:
        origin = address.replace("127.0.0.1", "localhost")
        server.server = f"{origin}/auth"
        context = browser.new_context(locale="de-DE", viewport={"width": 390, "height": 844})
        page = context.new_page()
        page.goto(f"{origin}/phone/")
        for link, *presses in (
            (server.enrolment_link(), "Vertrauen und hinzufügen", "Fertig"),
            (server.login_link(), "Zustimmen", "Anlegen"),
        ):
            page.get_by_label("Link des QR-Codes").fill(link)
            for name in ("Link öffnen", *presses):
                _press(page, name)
        _shows(page, "Zugestimmt")
        expect(page.get_by_text("Das andere Gerät fragt jetzt nach dem Passkey")).to_be_visible()
        context.close()


def test_hybrid_is_served_beside_the_phone_and_imports_only_its_neighbours() -> None:
    text = files("useid_middleware.emulation.phone").joinpath("static/hybrid.js").read_text("utf-8")
    imported = [line.split('"')[1] for line in text.splitlines() if line.startswith("import ")]
    assert imported == ["./protocol.js"]
