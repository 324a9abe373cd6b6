"""The session monitor in a real browser, around a provider's iframe."""

import pytest
from playwright.sync_api import Frame, Page

from tests.browser.session_wire import (
    HIDEABLE,
    INTERVAL,
    OP_IFRAME,
    OP_PAGE,
    PROVIDER,
    RENEW,
    SIGHTED,
    SessionWire,
    page_headers,
    provide,
    show,
)
from tests.browser.session_wire import wire as wire
from tests.browser.wire import Answer
from useid_middleware.oidc.core.check_session import TRANSITIONS, MonitorState, message
from useid_middleware.oidc.pages import monitor_policy

#: What the page around is told, with the origin it came from.
_LISTEN = """
window.heard = [];
addEventListener("message", (event) => heard.push([event.origin, event.data]));
"""


class Watch:
    """A page with the monitor inside, and the provider's iframe inside that."""

    def __init__(self, page: Page, wire: SessionWire) -> None:
        self.page = page
        self.wire = wire

    def open(self, first_answer: str | None = "unchanged", *, sighted: bool = True) -> "Watch":
        """Load the page; the provider gives ``first_answer`` until told otherwise.

        ``sighted``: in this browser, the provider's iframe has seen its cookie before.
        """
        provide(self.page, first_answer)
        if sighted:
            self.page.add_init_script(SIGHTED)
        self.page.add_init_script(_LISTEN)
        self.page.goto(self.wire.url + "/parent")
        return self

    @property
    def provider(self) -> Frame:
        """The provider's iframe."""
        frame = self.page.frame(url=OP_IFRAME)
        assert frame is not None
        return frame

    @property
    def monitor(self) -> Frame:
        """The monitor's own page."""
        frame = self.page.frame(url=lambda url: url.endswith("/session-monitor"))
        assert frame is not None
        return frame

    def answers(self, answer: str | None) -> None:
        """From now on the provider says this."""
        self.provider.evaluate("(answer) => { window.answer = answer; }", answer)

    def asked(self, at_least: int) -> list[list[str]]:
        """What the provider was asked, once it was asked so often: origin and message."""
        self.provider_sees(f"() => asked.length >= {at_least}")
        found: list[list[str]] = self.provider.evaluate("asked")
        return found

    def provider_sees(self, condition: str) -> None:
        """Wait for something in the provider's iframe; nothing is painted there, so there is no frame to wait for."""
        self.provider.wait_for_function(condition, polling=20)

    def told(self, *states: str) -> None:
        """Wait until the page around has been told these states and no others."""
        self.page.wait_for_function("(count) => heard.length >= count", arg=len(states))
        expected = [[self.wire.url, {"useid": "session", "state": state}] for state in states]
        assert self.page.evaluate("heard") == expected


@pytest.fixture
def watch(page: Page, wire: SessionWire) -> Watch:
    return Watch(page, wire)


def test_the_script_runs_the_table_of_the_core(page: Page, wire: SessionWire) -> None:
    page.goto(wire.url + "/auth/login")
    table = page.evaluate("async () => (await import('/auth/widget/session-monitor.js')).TRANSITIONS")
    found = {(state, step): target for state, steps in table.items() for step, target in steps.items()}
    assert found == {(str(state), str(step)): str(target) for (state, step), target in TRANSITIONS.items()}
    assert set(table) == {str(state) for state in MonitorState}


def test_the_provider_is_asked_again_and_again_with_client_and_session_state(watch: Watch) -> None:
    asked = watch.open().asked(4)
    assert asked[:4] == [[watch.wire.url, message("app one", "old.salt")]] * 4
    watch.told("watching")


def test_a_change_is_renewed_without_the_person_and_the_new_state_is_asked_about(watch: Watch) -> None:
    watch.open().told("watching")
    watch.provider.evaluate("known['new.salt'] = 'unchanged'")
    watch.answers("changed")
    watch.provider_sees("() => asked.filter(([, text]) => text.endsWith('new.salt')).length >= 3")
    watch.told("watching", "renewing", "watching")
    assert watch.wire.count(RENEW) == 1
    assert watch.monitor.locator("iframe").count() == 1  # The renewal's is gone.


def test_changed_is_not_believed_of_an_iframe_that_never_saw_its_cookie(watch: Watch) -> None:
    watch.open("changed", sighted=False).told("stopped")
    assert watch.wire.count(RENEW) == 0


def test_an_iframe_that_saw_its_cookie_once_is_believed_on_the_next_page(watch: Watch) -> None:
    watch.wire.outcome = "ended"
    watch.open("unchanged", sighted=False).told("watching")
    provide(watch.page, "changed")
    watch.page.reload()
    watch.told("renewing", "ended")


def test_a_refused_renewal_is_the_end_of_the_session(watch: Watch) -> None:
    watch.wire.outcome = "ended"
    watch.open("changed").told("renewing", "ended")
    assert watch.wire.count(RENEW) == 1


def test_an_error_ends_the_asking_and_nobody_s_session(watch: Watch) -> None:
    watch.open().told("watching")
    watch.answers("error")
    watch.told("watching", "stopped")
    count = len(watch.asked(1))
    watch.answers("changed")
    watch.monitor.evaluate(f"new Promise((done) => setTimeout(done, {5000 * INTERVAL}))")
    assert len(watch.asked(1)) == count
    assert watch.wire.count(RENEW) == 0


def test_a_renewal_that_nobody_could_finish_stops_the_watch(watch: Watch) -> None:
    watch.wire.outcome = "error"
    watch.open("changed").told("renewing", "stopped")


def test_a_renewal_that_never_ends_stops_the_watch_after_a_while(watch: Watch) -> None:
    watch.wire.outcome = None
    watch.page.clock.install()
    watch.open("changed").told("renewing")
    watch.wire.await_calls(RENEW, 1)
    watch.page.clock.run_for(21_000)
    watch.told("renewing", "stopped")


def test_a_renewal_without_a_new_session_state_leaves_nothing_to_ask_about(watch: Watch) -> None:
    watch.wire.new_state = ""
    watch.open("changed").told("renewing", "stopped")


def test_a_provider_that_says_changed_right_after_a_renewal_is_not_believed_for_ever(watch: Watch) -> None:
    watch.open("changed").told("renewing", "watching", "stopped")
    assert watch.wire.count(RENEW) == 1


def test_a_provider_s_iframe_that_never_answers_stops_the_watch(watch: Watch) -> None:
    watch.open(None).told("stopped")
    assert len(watch.asked(1)) == 3


def test_without_a_provider_s_iframe_the_page_around_is_told_that_nothing_is_watched(watch: Watch) -> None:
    watch.wire.op_iframe = ""
    watch.open().told("stopped")


@pytest.mark.parametrize("words", ["Unchanged", "changed ", "", {"answer": "changed"}, ["changed"], "constructor"])
def test_words_that_the_specification_does_not_have_are_no_answer(watch: Watch, words: object) -> None:
    watch.open().told("watching")
    watch.provider.evaluate("(words) => parent.postMessage(words, '*')", words)
    watch.asked(len(watch.asked(1)) + 2)
    watch.told("watching")


def test_answers_from_other_windows_are_not_believed(watch: Watch) -> None:
    watch.open().told("watching")
    forged = [
        '"changed"', '"error"', '{useid: "renewed", outcome: "ended", sessionState: ""}',
        '{useid: "renewed", outcome: "unchanged", sessionState: "evil.salt"}',
    ]  # fmt: skip
    for text in forged:
        watch.page.evaluate(f"frames[0].postMessage({text}, '*')")
        watch.monitor.evaluate(f"window.postMessage({text}, '*')")
    asked = watch.asked(len(watch.asked(1)) + 2)
    assert {text for _, text in asked} == {"app one old.salt"}
    watch.told("watching")
    assert watch.wire.count(RENEW) == 0


def test_another_window_at_the_provider_s_origin_is_not_its_iframe(watch: Watch) -> None:
    watch.open().told("watching")
    watch.page.route(
        f"{PROVIDER}/other",
        lambda route: route.fulfill(
            body="<script>parent.parent.postMessage('changed', '*')</script>", content_type="text/html"
        ),
    )
    watch.provider.evaluate(
        """() => new Promise((loaded) => {
          const frame = document.createElement("iframe");
          frame.onload = loaded;
          frame.src = "/other";
          document.body.append(frame);
        })"""
    )
    watch.asked(len(watch.asked(1)) + 2)
    watch.told("watching")


def test_nobody_but_the_renewal_itself_tells_its_end(watch: Watch) -> None:
    watch.wire.outcome = None
    watch.open("changed").told("renewing")
    forged = "{useid: 'renewed', outcome: 'ended', sessionState: ''}"
    watch.page.evaluate(f"frames[0].postMessage({forged}, '*')")
    watch.provider.evaluate(f"parent.postMessage({forged}, '*')")
    # Messages of one window arrive in order: the second has been heard when the monitor is asked.
    watch.provider.evaluate("parent.postMessage('changed', '*')")
    watch.told("renewing")


def test_an_iframe_that_was_led_to_another_site_gets_no_session_state_and_is_not_believed(watch: Watch) -> None:
    evil = "https://evil.example"
    page = OP_PAGE.replace("ANSWER", "parent.postMessage('changed', '*')")
    watch.page.route(f"{evil}/**", lambda route: route.fulfill(body=page, content_type="text/html"))
    watch.wire.instead["/session-monitor"] = Answer(
        200,
        watch.wire.monitor_answer().body,
        page_headers(monitor_policy(OP_IFRAME, renewal=[evil])),
    )
    watch.open().told("watching")
    watch.provider.evaluate(f"location.replace('{evil}/')")
    watch.told("watching", "stopped")
    stray = watch.page.frame(url=f"{evil}/")
    assert stray is not None
    assert stray.evaluate("asked") == []


def test_a_hidden_page_asks_nothing_and_asks_at_once_when_it_is_shown(watch: Watch) -> None:
    watch.wire.interval = 600
    watch.page.add_init_script(HIDEABLE)
    watch.open()
    assert len(watch.asked(1)) == 1
    show(watch.monitor, "hidden")
    assert len(watch.asked(1)) == 1
    show(watch.monitor, "visible")
    assert len(watch.asked(2)) == 2
