"""The state class of a bound login alone: what comes too late, twice, from elsewhere, or not at all."""

import pytest
from playwright.sync_api import Page

from tests.browser.bound_lab import TARGET, run, sealed_for
from tests.browser.bound_lab import lab as lab
from tests.browser.bound_lab import wire as wire
from tests.browser.bound_wire import widget_key
from useid_middleware.webauthn.core.sealing import seal_refresh_url


@pytest.mark.parametrize(("kind", "name"), [("qr", "key"), ("eid", "widgetPublicKey")])
def test_each_kind_ends_its_link_with_a_key_whose_private_half_nobody_can_read(lab: Page, kind: str, name: str) -> None:
    link, made, states = run(
        lab,
        """const { auth, made, states } = await make({ kind: argument });
        return [auth.state.qrData, made, JSON.stringify(states)];""",
        kind,
    )
    assert f"#{name}=" in link
    assert len(widget_key(link)) == 32
    assert made == [[{"name": "X25519"}, False, ["deriveBits"]]]
    assert "rivate" not in states


def test_only_a_login_that_the_server_wants_bound_has_a_key(lab: Page) -> None:
    assert run(
        lab,
        """const create = () => reply({ sessionId: "S", qrData: "tana://auth?frame=a", expiresIn: 9, assurance: "L1" });
        const { auth, made } = await make({ answers: { "/auth/session/create": create }, browser: { crypto: {} } });
        return [auth.state.qrData, made.length, auth.state.status];""",
    ) == ["tana://auth?frame=a", 0, "waiting"]


@pytest.mark.parametrize("kind", ["qr", "eid"])
@pytest.mark.parametrize(
    ("lacking", "code"),
    [
        ("{ crypto: undefined }", "insecure_page"),
        ("{ crypto: {} }", "insecure_page"),
        ("{ crypto: { subtle: { generateKey: () => Promise.reject(new DOMException('m', 'NotSupportedError')) } } }",
         "unsupported"),
        ("{ credentials: undefined }", "unsupported"),
        ("{ PublicKeyCredential: undefined }", "unsupported"),
        ("{ PublicKeyCredential: {} }", "unsupported"),
    ],
)  # fmt: skip
def test_a_browser_that_lacks_something_starts_nothing(lab: Page, kind: str, lacking: str, code: str) -> None:
    assert run(
        lab,
        f"""const {{ auth, streams, timers }} = await make({{ kind: argument, browser: {lacking} }});
        return [auth.state.status, auth.state.error.code, auth.state.qrData, streams.length, timers.size];""",
        kind,
    ) == ["error", code, None, 0, 0]


def test_a_link_longer_than_a_code_can_be_is_refused_with_its_key(lab: Page) -> None:
    codes = run(
        lab,
        """const codes = [];
        for (const room of [0, 1]) {
          const qrData = `tana://auth?x=${"x".repeat(858 - 14 - 48 + room)}`;
          const create = () => reply({ sessionId: "S", qrData, expiresIn: 9, assurance: "L2" });
          const { auth } = await make({ answers: { "/auth/session/create": create } });
          codes.push([auth.state.error?.code ?? null, auth.state.qrData?.length ?? null]);
        }
        return codes;""",
    )
    assert codes == [[None, 858], ["link_too_long", None]]


def test_every_status_of_a_waiting_login_leads_to_the_button(lab: Page) -> None:
    found = run(
        lab,
        """const found = [];
        for (const before of ["waiting", "scanned", "confirmed"]) {
          const { auth, say } = await make();
          say({ status: before, version: 2 });
          say({ status: "authenticating", version: 3, ...wanted });
          found.push(auth.state.status);
        }
        const down = () => { throw new TypeError("down"); };
        const { auth, say, timers } = await make({ answers: { "/auth/session/S": down } });
        [...timers.values()].find(({ at }) => at === 3000).run();
        await world.turn();
        found.push(auth.state.status);
        say({ status: "authenticating", version: 3, ...wanted });
        found.push(auth.state.status, auth.state.error);
        return found;""",
    )
    assert found == ["authenticate"] * 3 + ["offline", "authenticate", None]


@pytest.mark.parametrize(
    "wanted",
    ["{}", "{ userId: 'u' }", "{ userId: '../u', options: {} }", "{ userId: 'u', options: null }", "{ options: {} }"],
)
def test_what_cannot_be_asked_for_is_an_error_at_once(lab: Page, wanted: str) -> None:
    assert run(
        lab,
        f"""const {{ auth, say }} = await make();
        say({{ status: "authenticating", version: 3, ...{wanted} }});
        return brief(auth.state);""",
    ) == ["error", False, "invalid_response"]


def test_a_login_that_is_not_bound_asks_for_nothing(lab: Page) -> None:
    assert run(
        lab,
        """const create = () => reply({ sessionId: "S", qrData: "tana://auth?frame=a", expiresIn: 9, assurance: "L1" });
        const { auth, say, gets } = await make({ answers: { "/auth/session/create": create } });
        say({ status: "authenticating", version: 3, ...wanted });
        await auth.authenticate();
        return [brief(auth.state), gets.length];""",
    ) == [["error", False, "invalid_response"], 0]


def test_the_browser_is_asked_in_the_click_itself_and_once(lab: Page) -> None:
    assert run(
        lab,
        """const { auth, say, gets } = await make();
        await auth.authenticate();
        const before = gets.length;
        say({ status: "authenticating", version: 3, ...wanted });
        auth.authenticate();
        // Nothing was awaited: a click does not last.
        const during = gets.map(({ publicKey, signal, ...rest }) => [publicKey, signal.aborted, "mediation" in rest]);
        auth.authenticate();
        return [before, during, gets.length, brief(auth.state)];""",
    ) == [0, [[{"parsed": {"challenge": "c"}}, False, False]], 1, ["authenticate", True, None]]


@pytest.mark.parametrize("kind", ["qr", "eid"])
def test_the_answer_and_the_news_of_it_complete_the_login_once(lab: Page, kind: str) -> None:
    run(
        lab,
        """const answer = held();
        const world = await make({ kind: argument, answers: { [POST]: () => answer.promise } });
        Object.assign(world, { answer });
        world.say({ status: "authenticating", version: 3, ...wanted });
        world.proving = world.auth.authenticate();
        world.sign();
        await world.turn();""",
        kind,
    )
    outcome = run(
        lab,
        """const sealedRefreshUrl = argument;
        const { auth, say, answer, turn, proving } = world;
        say({ status: "approved", version: 4, codeRequired: false, sealedRefreshUrl });
        answer.release(reply({ sealedRefreshUrl, eServiceCertificateHash: "" }));
        say({ status: "approved", version: 4, codeRequired: false, sealedRefreshUrl });
        await proving;
        while (auth.state.status !== "approved") await turn();
        await turn();
        const posts = world.asked.filter(([path]) => path === POST);
        const approved = world.states.filter(({ status }) => status === "approved");
        return [world.claimed, posts, approved.length, world.timers.size];""",
        sealed_for(lab),
    )
    assert outcome == [
        [{"redirectTo": TARGET}],
        [["/auth/webauthn/accounts/u-1/assertions", {"credential": {"id": "signed"}}]],
        1,
        0,
    ]


@pytest.mark.parametrize("heard", ["stream", "poll"])
def test_an_answer_that_was_lost_is_made_up_for_by_the_snapshot(lab: Page, heard: str) -> None:
    run(
        lab,
        """const polled = held();
        const world = await make({ answers: {
          [POST]: () => { throw new TypeError("connection reset"); }, "/auth/session/S": () => polled.promise,
        } });
        Object.assign(world, { polled });
        world.say({ status: "authenticating", version: 3, ...wanted });
        const proving = world.auth.authenticate();
        world.sign();
        await proving;""",
    )
    outcome = run(
        lab,
        """const [heard, sealedRefreshUrl] = argument;
        const { auth, say, polled, turn } = world;
        const between = brief(auth.state);
        const snapshot = { status: "approved", version: 4, expiresIn: 60, codeRequired: false, sealedRefreshUrl };
        if (heard === "stream") say(snapshot);
        polled.release(reply(snapshot));
        while (auth.state.status !== "approved") await turn();
        return [between, world.claimed, auth.state.status];""",
        [heard, sealed_for(lab)],
    )
    assert outcome == [["authenticate", False, "network"], [{"redirectTo": TARGET}], "approved"]


def test_a_rejection_does_not_hide_the_reason_that_is_on_its_way(lab: Page) -> None:
    assert run(
        lab,
        """const answer = held();
        const world = await make({ answers: { [POST]: () => answer.promise } });
        world.say({ status: "authenticating", version: 3, ...wanted });
        const proving = world.auth.authenticate();
        world.sign();
        await world.turn();
        world.say({ status: "rejected", version: 4 });
        const during = brief(world.auth.state);
        answer.release(reply({ code: "webauthn_signature_invalid", message: "m" }, 401));
        await proving;
        return [during, brief(world.auth.state)];""",
    ) == [["authenticate", True, None], ["rejected", False, "webauthn_signature_invalid"]]


def test_a_rejection_whose_reason_was_lost_says_that_the_proof_was_refused(lab: Page) -> None:
    assert run(
        lab,
        """const answer = held();
        const world = await make({ answers: {
          [POST]: () => answer.promise.then(() => { throw new TypeError("connection reset"); }),
          "/auth/session/S": () => reply({ status: "rejected", version: 4, expiresIn: 0 }),
        } });
        world.say({ status: "authenticating", version: 3, ...wanted });
        const proving = world.auth.authenticate();
        world.sign();
        await world.turn();
        world.say({ status: "rejected", version: 4 });
        answer.release();
        await proving;
        while (world.auth.state.status !== "rejected") await world.turn();
        return [brief(world.auth.state), world.timers.size];""",
    ) == [["rejected", False, "binding_refused"], 0]


@pytest.mark.parametrize("status", ["rejected", "expired"])
def test_the_end_of_a_login_lets_go_of_the_browser_s_dialog(lab: Page, status: str) -> None:
    end = {"rejected": "binding_refused", "expired": None}[status]
    assert run(
        lab,
        """const { auth, say, gets, turn, timers, asked } = await make();
        say({ status: "authenticating", version: 3, ...wanted });
        const proving = auth.authenticate();
        say({ status: argument, version: 4 });
        await proving;
        await turn();
        return [gets[0].signal.aborted, brief(auth.state), timers.size, asked.some(([path]) => path === POST)];""",
        status,
    ) == [True, [status, False, end], 0, False]


def test_a_login_that_runs_out_unheard_ends_by_itself(lab: Page) -> None:
    assert run(
        lab,
        """const { auth, say, gets, timers } = await make();
        say({ status: "authenticating", version: 3, ...wanted });
        const proving = auth.authenticate();
        [...timers.values()].find(({ at }) => at === 61_500).run();
        await proving;
        return [gets[0].signal.aborted, brief(auth.state), timers.size];""",
    ) == [True, ["expired", False, None], 0]


@pytest.mark.parametrize(
    ("exception", "status", "code"),
    [
        ("NotAllowedError", "authenticate", "passkey_cancelled"),
        ("AbortError", "authenticate", "passkey_cancelled"),
        ("UnknownError", "authenticate", "authenticator_failed"),
        ("SecurityError", "error", "origin_refused"),
        ("NotSupportedError", "error", "unsupported"),
    ],
)
def test_what_browsers_refuse_with_has_a_code(lab: Page, exception: str, status: str, code: str) -> None:
    assert run(
        lab,
        """const { auth, say, refuse, asked } = await make();
        say({ status: "authenticating", version: 3, ...wanted });
        const proving = auth.authenticate();
        refuse(argument);
        await proving;
        return [brief(auth.state), asked.length];""",
        exception,
    ) == [[status, False, code], 1]


def test_after_a_cancel_the_same_is_asked_again(lab: Page) -> None:
    assert run(
        lab,
        """const { auth, say, refuse, gets } = await make();
        say({ status: "authenticating", version: 3, ...wanted });
        const first = auth.authenticate();
        refuse("NotAllowedError");
        await first;
        // Told once more, as by a new stream, the alert stays.
        say({ status: "authenticating", version: 3, ...wanted });
        const between = brief(auth.state);
        auth.authenticate();
        return [between, gets.map(({ publicKey }) => publicKey.parsed.challenge), brief(auth.state)];""",
    ) == [["authenticate", False, "passkey_cancelled"], ["c", "c"], ["authenticate", True, None]]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("https://evil.example/", "refresh_refused"),
        ("https://app.example.evil.example/", "refresh_refused"),
        ("https://app.example:8443/", "refresh_refused"),
        ("https://user@app.example/", "refresh_refused"),
        ("http://app.example/", "refresh_refused"),
        ("javascript:document.title=1", "refresh_refused"),
        ("/done", "refresh_refused"),
        (None, "sealed_invalid"),
    ],
)
def test_what_was_sealed_leads_nowhere_but_where_the_server_expects_it(
    lab: Page, target: str | None, code: str
) -> None:
    run(lab, "await make();")
    # Sealed well, but for another login, where there is no target.
    key = widget_key(lab.evaluate("world.auth.state.qrData"))
    sealed = sealed_for(lab, target) if target else seal_refresh_url(TARGET, public_key=key, session_id="other")
    assert run(
        lab,
        """const { auth, say, turn } = world;
        say({ status: "approved", version: 4, codeRequired: false, sealedRefreshUrl: argument });
        while (auth.state.status !== "error") await turn();
        return [brief(auth.state), world.claimed];""",
        sealed,
    ) == [["error", False, code], []]


def test_the_key_of_another_login_opens_nothing(lab: Page) -> None:
    run(lab, "await make();")
    before = sealed_for(lab)
    assert run(
        lab,
        """const { auth, turn, say } = world;
        await auth.initSession();
        say({ status: "approved", version: 4, codeRequired: false, sealedRefreshUrl: argument });
        while (auth.state.status !== "error") await turn();
        return auth.state.error.code;""",
        before,
    ) == "sealed_invalid"  # fmt: skip


@pytest.mark.parametrize("moment", ["asking", "sent"])
def test_a_login_that_was_given_up_leaves_nothing_behind(lab: Page, moment: str) -> None:
    assert run(
        lab,
        """const answer = held();
        const { auth, say, gets, sign, turn, timers, streams, states, claimed } =
          await make({ answers: { [POST]: () => answer.promise } });
        say({ status: "authenticating", version: 3, ...wanted });
        const proving = auth.authenticate();
        if (argument === "sent") { sign(); await turn(); }
        const told = states.length;
        auth.close();
        answer.release(reply({ sealedRefreshUrl: "x" }));
        await proving;
        return [gets[0].signal.aborted, timers.size, streams[0].readyState, states.length - told, claimed.length];""",
        moment,
    ) == [True, 0, 2, 0, 0]


def test_a_new_login_knows_nothing_of_a_proof_for_the_one_before(lab: Page) -> None:
    assert run(
        lab,
        """const answer = held();
        const { auth, say, sign, turn, claimed } = await make({ answers: { [POST]: () => answer.promise } });
        say({ status: "authenticating", version: 3, ...wanted });
        const proving = auth.authenticate();
        sign();
        await turn();
        await auth.initSession();
        answer.release(reply({ sealedRefreshUrl: "x" }));
        await proving;
        await turn();
        return [brief(auth.state), claimed.length];""",
    ) == [["waiting", False, None], 0]
