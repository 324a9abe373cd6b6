"""The state class alone: its table, and that it leaves nothing behind."""

import pytest
from playwright.sync_api import Page

from tests.browser.wire import Wire

LEADS_TO = {
    "restart": "loading", "waiting": "waiting", "scanned": "scanned", "confirmed": "confirmed",
    "authenticating": "authenticate", "code": "code", "claimed": "approved", "rejected": "rejected",
    "expired": "expired", "failed": "error", "lost": "offline",
}  # fmt: skip
STATUSES = set(LEADS_TO.values())
OVER = {"approved", "rejected", "expired"}

#: A QRAuth over a fake server, stream and clock; everything it opens is counted.
_FAKES = """
window.make = async (answers) => {
  const { QRAuth, TRANSITIONS } = await import("/auth/widget/qr-auth.js");
  const world = { TRANSITIONS, now: 0, timers: new Map(), streams: [], stored: {}, statuses: [] };
  class Stream extends EventTarget {
    constructor(url) { super(); this.url = url; this.readyState = 1; world.streams.push(this); }
    close() { this.readyState = 2; }
    say(name, data) { this.dispatchEvent(Object.assign(new Event(name), { data: JSON.stringify(data) })); }
  }
  let next = 1;
  world.auth = new QRAuth({
    server: "https://app.example/auth/", storage: "tana",
    fetch: async (url) => answers[new URL(url).pathname](),
    EventSource: Stream,
    now: () => world.now,
    setTimeout: (run, delay) => { world.timers.set(next, { run, at: world.now + delay }); return next++; },
    clearTimeout: (timer) => world.timers.delete(timer),
    localStorage: { setItem: (key, value) => { world.stored[key] = value; } },
  });
  world.auth.addEventListener("state", (event) => world.statuses.push(event.detail.status));
  return world;
};
window.answer = (body, status = 200) => () => new Response(JSON.stringify(body), { status });
window.started = {
  "/auth/session/create": answer({ sessionId: "S", qrData: "tana://auth?frame=a", expiresIn: 9 }, 201),
};
"""


@pytest.fixture
def lab(page: Page, wire: Wire) -> Page:
    page.goto(wire.url + "/done")
    page.evaluate(_FAKES)
    return page


def test_the_table_decides_every_pair_of_status_and_signal(lab: Page) -> None:
    table: dict[str, dict[str, str]] = lab.evaluate("make({}).then((world) => world.TRANSITIONS)")
    assert set(table) == STATUSES
    for status, row in table.items():
        assert set(row) <= set(LEADS_TO)
        assert all(LEADS_TO[signal] == target for signal, target in row.items())
        # Whatever happened, a user can start again; and what is over changes in no other way.
        assert row["restart"] == "loading"
        assert (set(row) == {"restart"}) is (status in OVER)
    # A phone that scanned cannot unscan, and one that confirmed not unconfirm.
    assert "waiting" not in table["scanned"]
    assert {"waiting", "scanned"}.isdisjoint(table["confirmed"])
    # Neither code form nor button is taken away by a lost connection.
    for status in ("code", "authenticate"):
        assert {"lost", "waiting", "scanned", "confirmed"}.isdisjoint(table[status])
    # A login that is bound asks for no code, and one that asks for a code is not bound.
    assert "code" not in table["authenticate"]
    assert "authenticating" not in table["code"]


def test_states_are_frozen_and_replaced(lab: Page) -> None:
    assert lab.evaluate(
        """async () => {
          const { auth } = await make(started);
          const before = auth.state;
          await auth.initSession();
          return Object.isFrozen(before) && Object.isFrozen(auth.state) && before !== auth.state;
        }"""
    )


def test_close_leaves_no_timer_and_no_stream(lab: Page) -> None:
    left = lab.evaluate(
        """async () => {
          const world = await make(started);
          await world.auth.initSession();
          const before = [world.timers.size > 0, world.streams[0].readyState];
          world.auth.close();
          return [before, world.timers.size, world.streams.map((stream) => stream.readyState)];
        }"""
    )
    assert left == [[True, 1], 0, [2]]


def test_an_answer_to_a_login_that_was_given_up_changes_nothing(lab: Page) -> None:
    statuses = lab.evaluate(
        """async () => {
          let release;
          const held = new Promise((resolve) => { release = () => resolve(answer({})()); });
          const world = await make({ "/auth/session/create": () => held });
          const starting = world.auth.initSession();
          world.auth.close();
          release();
          await starting;
          return world.statuses;
        }"""
    )
    assert statuses == ["loading"]


def test_a_second_approval_does_not_claim_twice(lab: Page) -> None:
    outcome = lab.evaluate(
        """async () => {
          let claims = 0;
          const claimed = answer({ redirectTo: "/x", sessionToken: "t", userId: "u", username: "n", expiresAt: "e" });
          const world = await make({ ...started, "/auth/session/S/claim": () => { claims += 1; return claimed(); } });
          await world.auth.initSession();
          const done = new Promise((resolve) =>
            world.auth.addEventListener("claimed", (event) => resolve(event.detail)));
          world.streams[0].say("status", { status: "approved", version: 3, expiresIn: 60, codeRequired: false });
          world.streams[0].say("status", { status: "approved", version: 3, expiresIn: 60, codeRequired: false });
          world.streams[0].say("status", { status: "claimed", version: 4, expiresIn: 60 });
          const { redirectTo } = await done;
          return [claims, redirectTo, world.auth.state.status, world.stored, world.timers.size];
        }"""
    )
    stored = {"tana_session_token": "t", "tana_user_id": "u", "tana_username": "n", "tana_token_expiry": "e"}
    assert outcome == [1, "/x", "approved", stored, 0]


def test_the_seconds_left_come_from_the_monotonic_clock(lab: Page) -> None:
    assert lab.evaluate(
        """async () => {
          const world = await make(started);
          const seconds = [world.auth.secondsLeft];
          await world.auth.initSession();
          for (const now of [0, 1, 1000, 8999, 9000, 20000]) { world.now = now; seconds.push(world.auth.secondsLeft); }
          return seconds;
        }"""
    ) == [None, 9, 9, 8, 1, 0, 0]
