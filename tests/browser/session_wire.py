"""A stand-in for the server of a session: its event stream, the session monitor, and the provider's iframe in it."""

import asyncio
import json
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from playwright.sync_api import Frame, Page, Route

from tests.browser.wire import Answer, Receive, Scope, Send, Wire
from useid_middleware.oidc.pages import SILENT_POLICY, Outcome, monitor_page, monitor_policy, silent_page
from useid_middleware.widget.serve import LOGIN_POLICY

PROVIDER = "https://op.example"
OP_IFRAME = f"{PROVIDER}/check-session"
EVENTS = "GET /sessions/current/events"
SESSIONS = "GET /sessions"
MONITOR = "GET /session-monitor"
RENEW = "GET /session-monitor/renew"
NOBODY = Answer(401, '{"code": "login_required", "message": "m"}')
#: The interval of the monitor in seconds: the tests need many polls.
INTERVAL = 0.05

#: The provider's iframe, as Session Management 1.0 §3.2 has it. ``answer`` is what a test wants; null is silence.
#: What it says about a session state that it knows comes first.
OP_PAGE = """<!doctype html><html lang="en"><title>op</title><script>
window.asked = [];
window.answer = ANSWER;
window.known = {};
addEventListener("message", (event) => {
  asked.push([event.origin, event.data]);
  const said = known[event.data.split(" ").pop()] ?? answer;
  if (said !== null) event.source.postMessage(said, event.origin);
});
</script></html>"""

_PARENT = """<!doctype html><html lang="en"><title>App</title><main><h1>App</h1>
<iframe title="Monitor" hidden src="/auth/session-monitor"></iframe></main></html>"""
_APP = """<!doctype html><html lang="{lang}"><title>App</title><main><h1>Orders</h1><input aria-label="Note">
<script type="module" src="/auth/widget/useid-session.js"></script>
<useid-session server="/auth" heartbeat="1000" {attributes}></useid-session></main></html>"""

_APP_POLICY = LOGIN_POLICY + "; frame-src 'self'"


class SessionWire(Wire):
    """The stand-in server with a session: its event stream, the monitor, and the end of a renewal."""

    lang = "en"
    attributes = ""
    op_iframe = OP_IFRAME
    interval = INTERVAL
    outcome: Outcome | None = "unchanged"
    new_state = "new.salt"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what a session needs; the rest is the login's."""
        path = scope["path"].removeprefix("/auth")
        for ending, answer in (
            ("/app", self._app_page()),
            ("/parent", Answer(200, _PARENT, page_headers(_APP_POLICY))),
            ("/session-monitor", self.monitor_answer()),
            ("/renew", self._silent_page()),
            ("/sessions", Answer(200, '{"sessions": []}')),
            ("/stay-away", Answer(204)),
        ):
            self.instead.setdefault(ending, answer)
        if path == "/sessions/current/events" and "/events" not in self.instead:
            await self._session_stream(scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    async def _session_stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What :mod:`useid_middleware.sessions.stream` says: ``open``, then silence."""
        self.asked.append(EVENTS)
        self.mute = True

        async def greeting(each: MutableMapping[str, Any]) -> None:
            await send(each)
            if each["type"] == "http.response.start":
                opening = b"retry: 200\n\nevent: alive\ndata: {}\n\n"
                await send({"type": "http.response.body", "body": opening, "more_body": True})

        with self._asked_something:
            self._asked_something.notify_all()
        await asyncio.shield(self._stream(scope, receive, greeting))

    def _app_page(self) -> Answer:
        return Answer(200, _APP.format(lang=self.lang, attributes=self.attributes), page_headers(_APP_POLICY))

    def monitor_answer(self) -> Answer:
        page = monitor_page(
            server="/auth", lang="en", client_id="app one", session_state="old.salt", op_iframe=self.op_iframe,
            interval=self.interval, renew="/auth/session-monitor/renew",
        )  # fmt: skip
        return Answer(200, page.decode(), page_headers(monitor_policy(self.op_iframe)))

    def _silent_page(self) -> Answer:
        if self.outcome is None:
            return Answer(200, "<!doctype html><title>lost on the way</title>", page_headers(SILENT_POLICY))
        page = silent_page(server="/auth", outcome=self.outcome, session_state=self.new_state)
        return Answer(200, page.decode(), page_headers(SILENT_POLICY))


def page_headers(policy: str) -> tuple[tuple[str, str], ...]:
    return (("content-type", "text/html; charset=utf-8"), ("content-security-policy", policy))


@pytest.fixture
def wire() -> Iterator[SessionWire]:
    """The stand-in server, started."""
    server = SessionWire()
    server.start()
    yield server
    server.stop()


def provide(page: Page, answer: str | None) -> None:
    """Serve the provider's iframe to ``page``; it gives ``answer`` until told otherwise, or none."""
    body = OP_PAGE.replace("ANSWER", json.dumps(answer))

    def fulfill(route: Route) -> None:
        route.fulfill(body=body, content_type="text/html; charset=utf-8")

    page.route(f"{PROVIDER}/**", fulfill)


#: In this browser, the provider's iframe has seen its cookie before. For every frame, also those that may keep nothing.
SIGHTED = f"try {{ localStorage.setItem('useid-monitor:{PROVIDER}', '1'); }} catch {{}}"
HIDEABLE = """
window.shown = "visible";
Object.defineProperty(document, "visibilityState", { get: () => window.shown });
"""


def show(frame: Frame | Page, state: str) -> None:
    """Hide or show a page, as far as it can tell: no browser without a screen has hidden pages."""
    frame.evaluate("(state) => { window.shown = state; document.dispatchEvent(new Event('visibilitychange')); }", state)
