"""A bound login's state class over fakes of everything around it, and what the phone seals for it."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.bound_wire import BoundWire, widget_key
from useid_middleware.webauthn.core.sealing import seal_refresh_url

ORIGIN = "https://app.example"
TARGET = f"{ORIGIN}/auth/session/refresh/t"
#: Of the fake server's login.
SESSION = "S"

#: A QRAuth or EIDAuth over a fake server, stream, clock and browser; `gets` are what the browser was asked.
_FAKES = """
window.make = async ({ kind = "qr", browser = {}, answers = {} } = {}) => {
  const { QRAuth } = await import("/auth/widget/qr-auth.js");
  const { EIDAuth } = await import("/auth/widget/eid-auth.js");
  const world = {
    now: 0, timers: new Map(), streams: [], asked: [], gets: [], states: [], claimed: [], made: [],
  };
  class Stream extends EventTarget {
    constructor(url) { super(); this.url = url; this.readyState = 1; world.streams.push(this); }
    close() { this.readyState = 2; }
  }
  const common = { sessionId: "S", expiresIn: 300, refreshOrigins: ["https://app.example"] };
  const link = "eid://127.0.0.1:24727/eID-Client?tcTokenURL=x";
  const all = {
    "/auth/session/create": () => reply({ ...common, qrData: "tana://auth?session=S&frame=a", assurance: "L2" }),
    "/auth/eid/start": () => reply({ ...common, mode: "bound", qrData: link, clientUrl: link }),
    "/auth/session/S": () => reply({ status: "authenticating", version: 9, expiresIn: 60, ...wanted }),
    ...answers,
  };
  const subtle = new Proxy(crypto.subtle, { get: (target, name) => (...args) => {
    if (name === "generateKey") world.made.push(args);
    return target[name](...args);
  } });
  let next = 1;
  world.auth = new { qr: QRAuth, eid: EIDAuth }[kind]({
    server: "https://app.example/auth", mode: "default", origin: "https://app.example",
    fetch: async (url, { body }) => {
      const path = new URL(url).pathname;
      world.asked.push([path, body ? JSON.parse(body) : null]);
      return all[path]();
    },
    EventSource: Stream,
    now: () => world.now,
    setTimeout: (run, delay) => { world.timers.set(next, { run, at: world.now + delay }); return next++; },
    clearTimeout: (timer) => world.timers.delete(timer),
    crypto: { subtle },
    PublicKeyCredential: {
      parseCreationOptionsFromJSON: () => null,
      parseRequestOptionsFromJSON: (options) => {
        if (typeof options !== "object" || options === null) throw new TypeError("no options");
        return { parsed: options };
      },
    },
    credentials: { get: (wanted) => new Promise((resolve, reject) => {
      world.gets.push({ ...wanted, resolve, reject });
      wanted.signal.addEventListener("abort", () => reject(wanted.signal.reason));
    }) },
    ...browser,
  });
  world.auth.addEventListener("state", ({ detail }) => world.states.push(detail));
  world.auth.addEventListener("claimed", ({ detail }) => world.claimed.push(detail));
  world.say = (data) => {
    const event = new Event(data.status === "authenticating" ? "authenticate" : "status");
    world.streams.at(-1).dispatchEvent(Object.assign(event, { data: JSON.stringify({ expiresIn: 60, ...data }) }));
  };
  world.sign = () => world.gets[0].resolve({ toJSON: () => ({ id: "signed" }) });
  world.refuse = (name) => world.gets[0].reject(new DOMException("m", name));
  world.turn = () => new Promise((resolve) => { setTimeout(resolve); });
  await world.auth.initSession();
  globalThis.world = world;
  return world;
};
window.reply = (body, status = 200) => new Response(JSON.stringify(body), { status });
window.wanted = { userId: "u-1", options: { challenge: "c" } };
window.brief = ({ status, busy, error }) => [status, busy, error?.code ?? null];
window.held = () => {
  let release;
  const promise = new Promise((resolve) => { release = resolve; });
  return { promise, release };
};
window.POST = "/auth/webauthn/accounts/u-1/assertions";
"""


@pytest.fixture
def wire() -> Iterator[BoundWire]:
    server = BoundWire()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def lab(page: Page, wire: BoundWire) -> Page:
    page.goto(wire.url + "/done")
    page.evaluate(_FAKES)
    return page


def run(lab: Page, body: str, argument: object = None) -> Any:
    """Run ``body`` as an async function of ``argument``; ``world`` is the last one made."""
    return lab.evaluate(f"async (argument) => {{ {body} }}", argument)


def sealed_for(lab: Page, target: str = TARGET) -> str:
    """What the phone seals for the world's login."""
    key = widget_key(lab.evaluate("world.auth.state.qrData"))
    return seal_refresh_url(target, public_key=key, session_id=SESSION)
