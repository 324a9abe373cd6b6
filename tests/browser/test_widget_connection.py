"""How ``<useid-login>`` keeps hearing the server: reconnects, the watchdog, polling, and what it forgives."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.card import Card
from tests.browser.wire import FRAMES, SESSION, Answer, Wire

EVENTS = "GET /session/{id}/events"
SNAPSHOT = "GET /session/{id}"
CREATE = "POST /session/create"

#: Records every status that the card goes through.
_RECORD = """
window.statuses = [];
document.addEventListener("useid-state", (event) => statuses.push(event.detail.status));
"""


@pytest.fixture
def card(page: Page, wire: Wire) -> Card:
    page.add_init_script(_RECORD)
    return Card(page, wire)


def test_a_server_that_goes_away_is_a_lost_connection_and_its_return_is_noticed(card: Card) -> None:
    card.reach("offline")
    expect(card.alert).to_contain_text("Connection lost")
    assert card.state()["error"]["code"] == "connection_lost"
    card.wire.start()
    card.shows("waiting")
    assert card.state()["error"] is None
    assert card.wire.count(CREATE) == 1


def test_a_lost_connection_can_be_retried_by_hand(card: Card) -> None:
    card.page.clock.install()
    # Neither the browser nor the widget returns by itself for a long while.
    card.wire.instead = {"/events": Answer(204), "/{id}": Answer(503, headers=(("Retry-After", "600"),))}
    card.open().shows("offline")
    card.wire.instead.clear()
    card.button("Reconnect now").click()
    card.shows("waiting")
    assert card.wire.count(CREATE) == 1


def test_an_approval_during_the_outage_is_not_lost(card: Card) -> None:
    card.reach("offline")
    card.wire.code = "482913"
    card.wire.status, card.wire.version = "approved", 3
    card.wire.start()
    card.shows("code")


def test_a_login_forgotten_during_the_outage_is_over(card: Card) -> None:
    card.reach("offline")
    card.wire.instead["/{id}"] = Answer(404, '{"code": "session_unknown", "message": "m"}')
    card.wire.start()
    card.shows("expired")


def test_a_broken_stream_is_bridged_without_a_word_while_the_server_answers(card: Card) -> None:
    card.open().shows("waiting")
    card.wire.cut()
    card.wire.await_calls(EVENTS, 2)
    card.wire.move("scanned")
    card.shows("scanned")
    assert "offline" not in card.page.evaluate("statuses")


def test_a_frame_missed_between_two_streams_is_asked_for(card: Card) -> None:
    card.open().shows("waiting")
    card.wire.frame = FRAMES[1]
    card.wire.cut()
    expect(card.root.locator(".link")).to_have_text(card.wire.link)


def test_a_server_that_says_goodbye_alarms_nobody(card: Card) -> None:
    card.open().shows("waiting")
    card.wire.say("bye", {"reason": "shutdown"})
    card.wire.cut()
    card.wire.await_calls(EVENTS, 2)
    card.wire.move("scanned")
    card.shows("scanned")
    assert "offline" not in card.page.evaluate("statuses")


def test_a_stream_without_a_word_is_replaced_by_polling_after_three_seconds(card: Card) -> None:
    card.page.clock.install()
    card.wire.mute = True
    card.open().shows("waiting")
    card.wire.await_calls(EVENTS, 1)
    assert card.wire.count(SNAPSHOT) == 0
    card.wire.status, card.wire.version = "scanned", 2
    card.page.clock.fast_forward(3_000)
    card.shows("scanned")
    card.wire.status, card.wire.version = "rejected", 3
    card.page.clock.fast_forward(2_000)
    card.shows("rejected")


def test_polling_ends_when_the_stream_speaks(card: Card) -> None:
    card.page.clock.install()
    card.wire.mute = True
    card.open().shows("waiting")
    card.page.clock.fast_forward(3_000)
    card.wire.await_calls(SNAPSHOT, 1)
    card.wire.move("scanned")
    card.shows("scanned")
    card.page.evaluate("fetch('/auth/login')")
    asked = card.wire.count(SNAPSHOT)
    card.page.clock.run_for(20_000)
    card.page.evaluate("fetch('/auth/login')")
    assert card.wire.count(SNAPSHOT) == asked


def test_an_answer_that_comes_after_the_stream_has_spoken_keeps_nobody_asking(card: Card) -> None:
    held: list[Route] = []
    card.page.clock.install()
    card.wire.mute = True
    card.page.route(f"**/session/{SESSION}", lambda route: held.append(route))
    card.open().shows("waiting")
    with card.page.expect_request(f"**/session/{SESSION}"):
        card.page.clock.fast_forward(3_000)
    card.wire.move("scanned")
    card.shows("scanned")
    held[0].continue_()
    card.wire.await_calls(SNAPSHOT, 1)
    card.page.evaluate("fetch('/auth/login')")
    card.page.clock.run_for(20_000)
    card.page.evaluate("fetch('/auth/login')")
    assert len(held) == 1


def test_a_stream_silent_for_two_and_a_half_heartbeats_is_opened_anew(card: Card) -> None:
    card.page.clock.install()
    card.open().shows("waiting")
    card.page.evaluate("fetch('/auth/login')")
    card.page.clock.fast_forward(30_000)
    card.wire.turn(FRAMES[1])
    expect(card.root.locator(".link")).to_have_text(card.wire.link)
    card.page.clock.fast_forward(30_000)
    card.page.evaluate("fetch('/auth/login')")
    assert card.wire.count(EVENTS) == 1
    card.page.clock.fast_forward(8_000)
    card.wire.await_calls(EVENTS, 2)
    assert "offline" not in card.page.evaluate("statuses")


def test_a_refused_stream_is_tried_again_while_polling_goes_on(card: Card) -> None:
    card.page.clock.install()
    card.wire.instead["/events"] = Answer(503)
    card.open().shows("waiting")
    card.wire.await_calls(SNAPSHOT, 1)
    card.wire.instead.clear()
    card.page.clock.run_for(3_000)
    card.wire.await_calls(EVENTS, 2)
    card.wire.move("scanned")
    card.shows("scanned")
    assert "offline" not in card.page.evaluate("statuses")


def test_polling_slows_down_while_the_server_is_away(card: Card) -> None:
    card.page.clock.install()
    card.wire.instead["/events"] = Answer(204)
    card.wire.instead["/{id}"] = Answer(503)
    card.open().shows("offline")
    card.page.clock.run_for(120_000)
    card.page.evaluate("fetch('/auth/login')")
    # 2 s, 4 s, 8 s, then 16 s each, each up to half as long again.
    assert 5 <= card.wire.count(SNAPSHOT) <= 25


def test_polling_waits_as_long_as_the_server_asks(card: Card) -> None:
    card.page.clock.install()
    card.wire.instead["/events"] = Answer(204)
    card.wire.instead["/{id}"] = Answer(429, '{"code": "rate_limited", "message": "m"}', (("Retry-After", "40"),))
    card.open().shows("offline")
    asked = card.wire.count(SNAPSHOT)
    card.page.clock.run_for(39_000)
    card.page.evaluate("fetch('/auth/login')")
    assert card.wire.count(SNAPSHOT) == asked
    card.wire.instead["/{id}"] = Answer(410, '{"code": "session_expired", "message": "m"}')
    card.page.clock.run_for(5_000)
    card.shows("expired")


def test_a_garbled_event_is_replaced_by_asking(card: Card) -> None:
    card.open().shows("waiting")
    card.wire.status, card.wire.version = "scanned", 2
    card.wire.say("status", "scanned")
    card.shows("scanned")


def test_late_news_does_not_count(card: Card) -> None:
    card.open().shows("waiting")
    late = card.wire.snapshot()
    card.wire.move("scanned")
    card.shows("scanned")
    card.wire.say("status", late)
    card.wire.move("rejected")
    card.shows("rejected")
    assert card.page.evaluate("statuses.slice(statuses.indexOf('scanned')).includes('waiting')") is False


def test_a_missing_cookie_is_named(card: Card) -> None:
    refused = Answer(401, '{"code": "browser_cookie_missing", "message": "m"}')
    card.wire.instead = {"/events": refused, "/{id}": refused}
    card.open().shows("error")
    expect(card.alert).to_contain_text("Cookies are blocked")


def test_a_login_ends_by_the_page_s_own_clock_when_the_news_does_not_arrive(card: Card) -> None:
    card.page.clock.install()
    card.wire.mute = True
    card.wire.expires_in = 2
    card.wire.instead["/{id}"] = Answer(200, "{}")
    card.open().shows("waiting")
    card.page.clock.run_for(4_000)
    card.shows("expired")


def test_the_code_form_survives_a_lost_connection(card: Card) -> None:
    card.reach("code")
    card.page.keyboard.type("4829")
    card.wire.stop()
    card.wire.start()
    card.wire.await_calls(EVENTS, 2)
    expect(card.field).to_have_value("482 9")
    assert "offline" not in card.page.evaluate("statuses")


def test_the_network_s_return_hurries_the_reconnect(card: Card) -> None:
    card.open().shows("waiting")
    card.page.evaluate("window.dispatchEvent(new Event('online'))")
    card.wire.await_calls(EVENTS, 2)
