"""Each login as a diagram: the arrows of its flow in their order, and nothing that must not be drawn."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.eid import world as eid
from tests.eid.world import token_url_in
from tests.oidc import world as oidc
from tests.qr.conftest import World, make_settings, open_world
from tests.test_docs import page
from tests.webauthn import world as passkeys
from useid_middleware import Events
from useid_middleware.events import (
    EIDLoginStarted,
    EIDRejected,
    LoginBound,
    LoginCompleted,
    LoginFailed,
    QRExpired,
    QRLoginStarted,
    QRRejected,
    SessionChanged,
    TokenRefreshed,
)
from useid_middleware.trace import Trace


def arrows(diagram: str) -> list[str]:
    """The arrows without their times; the form of all lines is checked on the way."""
    first, *lines = diagram.splitlines()
    assert first == "sequenceDiagram"
    named = [line.split()[1] for line in lines if line.startswith("    participant ")]
    assert len(set(named)) == len(named)
    drawn = lines[len(named) :]
    for line in drawn:
        match = re.fullmatch(r"    (?:(\w+)--?>>(\w+)|Note over (\w+)): [\w .,:/()+=-]+ \(\+\d+\.\d s\)", line)
        assert match is not None, line
        assert {name for name in match.groups() if name} <= set(named)
    return [line.strip().rpartition(" (+")[0] for line in drawn]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await open_world(make_settings())
    yield world
    await world.app.useid.stop()


async def test_a_login_by_phone_is_drawn_from_the_code_to_the_session(world: World) -> None:
    phone = await world.enrolled_phone()
    trace = Trace(world.app.useid.events)
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    world.clock.advance(2.5)
    code = (await phone.approve(link)).json()["code"]
    await desktop.post(f"/session/{session_id}/claim", {"code": code})
    drawn = trace.diagram(session_id)
    assert arrows(drawn)[:-1] == [
        "Browser->>App: POST /session/create",
        "App-->>Browser: QR code",
        "Phone->>App: scan",
        "App-->>Phone: who asks",
        "App-->>Browser: scanned",
        "Phone->>App: POST /approve, signed",
        "App-->>Browser: approved",
        "Browser->>App: claim",
    ]
    [completed] = [event for event in world.told(LoginCompleted) if isinstance(event, LoginCompleted)][-1:]
    assert arrows(drawn)[-1] == f"App-->>Browser: session of account {completed.account_id} at L1"
    assert "scan (+2.5 s)" in drawn
    assert "alice" not in drawn
    # The session has the same diagram, and its end is part of it.
    assert trace.diagram(completed.session_id) == drawn
    assert (await desktop.post("/logout")).status == 204
    assert arrows(trace.diagram(session_id))[-1] == "Note over App: the session ended: logout"


async def test_two_logins_at_once_are_two_diagrams(world: World) -> None:
    trace = Trace(world.app.useid.events)
    logins = [(await world.enrolled_phone(name), world.browser()) for name in ("alice", "bob")]
    started = [await world.start(desktop) for _, desktop in logins]
    codes = [(await phone.approve(link)).json()["code"] for (phone, _), (_, link) in zip(logins, started, strict=True)]
    for (_, desktop), (session_id, _), code in reversed(list(zip(logins, started, codes, strict=True))):
        assert (await desktop.post(f"/session/{session_id}/claim", {"code": code})).status == 200
    drawn = [arrows(trace.diagram(session_id)) for session_id, _ in started]
    assert drawn[0][:-1] == drawn[1][:-1]
    assert drawn[0][-1] != drawn[1][-1]
    # The host app's own logins, and those two.
    assert len(trace.ids()) == 4


async def test_a_login_of_the_app_itself_and_by_passkey_is_drawn() -> None:
    async with passkeys.opened() as world:
        trace = Trace(world.useid.events)
        browser, authenticator = await world.member()
        await world.use("login", world.browser(), authenticator)
        assert browser.cookies
        drawn = [arrows(trace.diagram(login)) for login in trace.ids()]
    assert drawn[0][0] == "Browser->>App: login of the app (host)"
    assert drawn[-1][0] == "Browser->>App: passkey"
    assert drawn[-1][1].startswith("App-->>Browser: session of account ")


async def test_a_login_at_a_provider_is_drawn_with_the_provider() -> None:
    async with oidc.opened() as world:
        trace = Trace(world.events)
        browser = world.browser()
        await world.log_in(browser)
        [login] = trace.ids()
        drawn = arrows(trace.diagram(login))
        assert drawn[:-1] == [
            "Browser->>App: GET /login (op)",
            "App-->>Browser: to the provider",
            "Browser->>Provider: authorization request",
            "Provider-->>Browser: back with a code",
            "Browser->>App: GET /callback",
            "App->>Provider: code",
            "Provider-->>App: tokens",
        ]
        assert drawn[-1].startswith("App-->>Browser: session of account ")
        # One that the person calls off is a diagram of its own.
        address = await world.begin(world.browser())
        assert address
        await world.events.emit(LoginFailed(world.clock(), "authorization_refused", oidc.ISSUER, "access_denied"))
        assert arrows(trace.diagram(trace.ids()[1]))[-1] == "App-->>Browser: no login: authorization_refused"


async def test_a_login_with_an_id_card_is_drawn_in_each_mode() -> None:
    async with eid.opened() as world:
        trace = Trace(world.useid.events)
        desktop, phone = world.browser(), world.phone()
        standard = await world.start(desktop)
        opened = await world.begin_on_phone(phone, standard["startUrl"])
        assert token_url_in(opened)
        code = eid.code_in(await world.open(phone, await world.run_client(token_url_in(opened))))
        assert (await world.claim(desktop, standard, code=code)).status == 200
        assert arrows(trace.diagram(standard["sessionId"]))[:-1] == [
            "Browser->>App: POST /eid/start (standard)",
            "App-->>Browser: QR code",
            "Phone->>App: the code is opened, its user goes on",
            "App-->>Browser: scanned",
            "Phone->>App: back from the eID client",
            "App-->>Browser: approved",
            "Browser->>App: claim",
        ]
        assert (await world.log_in(world.browser())).status == 303
        here = arrows(trace.diagram(trace.ids()[1]))
        assert here[:4] == [
            "Browser->>App: POST /eid/start (same-device)",
            "App-->>Browser: link to the eID client",
            "eIDclient->>App: tcToken",
            "Browser->>App: claim",
        ]
        assert here[4].startswith("App-->>Browser: session of account ")
        assert "participant eIDclient as eID client" in trace.diagram(trace.ids()[1])
        text = "".join(map(trace.diagram, trace.ids()))
        assert [word for word in eid.PERSONAL if word in text] == []


async def test_what_ends_badly_is_drawn_with_its_reason() -> None:
    events = Events()
    trace = Trace(events)
    for event in (
        QRLoginStarted(0.0, "a"),
        LoginBound(1.0, "a"),
        QRRejected(1.0, "a", "account", "user"),
        QRRejected(1.0, "b", "account", "code"),
        QRLoginStarted(1.0, "c"),
        QRExpired(301.0, "c"),
        EIDLoginStarted(1.0, "d", "standard"),
        EIDRejected(
            2.0, "d", "document", "http://www.bsi.bund.de/eid/server/2.0/resultminor/getResult#invalidDocument"
        ),
        SessionChanged(2.0, "account", "unknown", "other_user"),
        TokenRefreshed(2.0, "unknown", None, None, None),
        LoginFailed(2.0, "provider_unknown", ""),
    ):
        await events.emit(event)
    assert arrows(trace.diagram("a"))[2:] == [
        "Browser->>App: assertion by the passkey of the phone",
        "Phone->>App: POST /reject, signed",
        "App-->>Browser: rejected: user",
    ]
    assert arrows(trace.diagram("b"))[0] == "Browser->>App: claim with a wrong code once too often"
    assert arrows(trace.diagram("c"))[2:] == ["Note over App: time is up", "App-->>Browser: expired"]
    assert "time is up (+300.0 s)" in trace.diagram("c")
    assert arrows(trace.diagram("d"))[2:] == ["App-->>Browser: rejected: document getResult invalidDocument"]
    assert arrows(trace.diagram(trace.ids()[-1])) == ["App-->>Browser: no login: provider_unknown"]


async def test_what_comes_from_outside_cannot_draw() -> None:
    events = Events()
    trace = Trace(events)
    await events.emit(EIDRejected(0.0, "a", 'failed\n    App->>App: forged; %% #35;<script>"', ""))
    assert len(arrows(trace.diagram("a"))) == 1
    assert "<" not in trace.diagram("a")


async def test_the_pages_own_lines_print_diagrams(capsys: pytest.CaptureFixture[str]) -> None:
    text = page("howto/metrics.md")
    (block,) = (each for each in re.findall(r"```python\n(.*?)```", text, re.S) if "Trace(events)" in each)
    before, _, after = block.partition("# …after somebody has logged in:\n")
    names: dict[str, Any] = {}
    exec(compile(before, "metrics.md", "exec"), names)
    await names["events"].emit(QRLoginStarted(0.0, "login"))
    exec(compile(after, "metrics.md", "exec"), names)
    assert arrows(capsys.readouterr().out.rstrip("\n"))[0] == "Browser->>App: POST /session/create"
    (shown,) = re.findall(r"```mermaid\n(.*?)```", text, re.S)
    assert arrows(shown)[0] == "Browser->>App: POST /session/create"


async def test_only_the_last_logins_are_kept() -> None:
    events = Events()
    trace = Trace(events, keep=3)
    for number in range(5):
        await events.emit(QRLoginStarted(0.0, f"login-{number}"))
    assert trace.ids() == ["login-2", "login-3", "login-4"]
    with pytest.raises(LookupError):
        trace.diagram("login-1")
