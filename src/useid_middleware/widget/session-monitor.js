/**
 * Watches the session at the provider: OpenID Connect Session Management 1.0 §3.1. Runs in the page `/session-monitor`, which
 * `<useid-session monitor>` or the app itself embeds in a hidden iframe.
 *
 * Every `interval` the provider's iframe is asked, over postMessage, whether its session is still the one that logged us in. If
 * it has changed, the login is renewed without the person (`prompt=none`, in another iframe); only when that is refused has our
 * session ended. The page around is told each new state: `{useid: "session", state}`.
 *
 * A browser that blocks third-party cookies makes the provider's iframe blind: it says "changed" of every session, and a renewal
 * would be refused. So "changed" is believed only in a browser in which that iframe has once said "unchanged".
 *
 * While the page is hidden nobody is asked: there is nobody to tell, and browsers hold the timers of hidden pages up anyway. The
 * question comes at once when it is shown again.
 */

/** State by step, as in oidc/core/check_session.py. What is not listed changes nothing: it is an answer that came late. */
export const TRANSITIONS = Object.freeze({
  idle: { unchanged: "watching", changed: "renewing", error: "stopped" },
  watching: { unchanged: "watching", changed: "renewing", error: "stopped" },
  renewing: { renewed: "watching", refused: "ended", error: "stopped" },
  ended: {},
  stopped: {},
});

const ANSWERS = Object.freeze(["unchanged", "changed", "error"]);
/** What the page at the end of a renewal says, as a step. */
const OUTCOMES = Object.freeze({ unchanged: "renewed", ended: "refused", error: "error" });
/** A provider's iframe that stays silent so often is not going to answer. */
const PATIENCE = 3;
const RENEWAL_MS = 20_000;
/** In localStorage, with the provider's origin behind it: its iframe sees its cookie in this browser. */
const SIGHTED = "useid-monitor:";

export class SessionMonitor {
  #options;
  #state = "idle";
  #sessionState;
  #unanswered = 0;
  #justRenewed = false;
  #renewal = null;
  #timer;
  #deadline;
  #listeners = new AbortController();

  /**
   * `frame` is the provider's iframe, loaded; null where the provider has none. `interval` is in milliseconds, `renew` the
   * address of the renewal, `report(state)` is told every new state.
   */
  constructor({ frame, clientId, sessionState, interval, renew, report }) {
    this.#options = { frame, clientId, interval, renew, report };
    this.#sessionState = sessionState;
  }

  get state() {
    return this.#state;
  }

  start() {
    if (this.#options.frame === null) {
      this.#step("error");
      return;
    }
    const { signal } = this.#listeners;
    window.addEventListener("message", (event) => this.#hear(event), { signal });
    document.addEventListener("visibilitychange", () => this.#ask(), { signal });
    this.#timer = setInterval(() => this.#ask(), this.#options.interval);
    this.#ask();
  }

  #step(step) {
    const state = TRANSITIONS[this.#state][step];
    if (state === undefined) return;
    const isNew = state !== this.#state;
    this.#state = state;
    if (isNew && state === "renewing") this.#renew();
    if (state === "ended" || state === "stopped") this.#rest();
    if (isNew) this.#options.report(state);
  }

  #ask() {
    if (document.visibilityState === "hidden" || !("unchanged" in TRANSITIONS[this.#state])) return;
    if (this.#unanswered >= PATIENCE) {
      this.#step("error");
      return;
    }
    this.#unanswered += 1;
    const { frame, clientId } = this.#options;
    frame.contentWindow.postMessage(`${clientId} ${this.#sessionState}`, originOf(frame));
  }

  /** A message counts only from the window it must come from, at the origin that window must have. */
  #hear({ source, origin, data }) {
    const { frame } = this.#options;
    if (source === frame.contentWindow && origin === originOf(frame)) this.#answered(data);
    else if (this.#renewal && source === this.#renewal.contentWindow && origin === location.origin) this.#renewed(data);
  }

  #answered(answer) {
    if (!ANSWERS.includes(answer) || !(answer in TRANSITIONS[this.#state])) return;
    this.#unanswered = 0;
    // "Changed" about a state of a moment ago says that the iframe is blind too: it would go on for ever.
    const isBlind = answer === "changed" && (this.#justRenewed || !this.#isSighted());
    this.#justRenewed = false;
    if (answer === "unchanged") this.#remember();
    this.#step(isBlind ? "error" : answer);
  }

  #isSighted() {
    return this.#state === "watching" || storage()?.getItem(SIGHTED + originOf(this.#options.frame)) === "1";
  }

  #remember() {
    storage()?.setItem(SIGHTED + originOf(this.#options.frame), "1");
  }

  #renew() {
    this.#renewal = document.createElement("iframe");
    this.#renewal.hidden = true;
    this.#renewal.title = this.#options.frame.title;
    this.#renewal.setAttribute("aria-hidden", "true");
    this.#renewal.src = this.#options.renew;
    document.body.append(this.#renewal);
    this.#deadline = setTimeout(() => this.#step("error"), RENEWAL_MS);
  }

  #renewed(message) {
    const step = message?.useid === "renewed" ? OUTCOMES[message.outcome] : undefined;
    if (step === undefined) return;
    this.#letGoOfRenewal();
    // Without a new session state there is nothing to ask about any more.
    if (step === "renewed" && !message.sessionState) {
      this.#step("error");
      return;
    }
    if (step === "renewed") {
      this.#sessionState = message.sessionState;
      this.#justRenewed = true;
    }
    this.#step(step);
  }

  #letGoOfRenewal() {
    clearTimeout(this.#deadline);
    this.#renewal?.remove();
    this.#renewal = null;
  }

  #rest() {
    clearInterval(this.#timer);
    this.#listeners.abort();
    this.#letGoOfRenewal();
  }
}

/** Where the browser lets us keep things; null where it does not. */
function storage() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

const originOf = (frame) => new URL(frame.src).origin;

const page = document.querySelector("[data-client-id]");
if (page !== null) {
  const { clientId, sessionState, interval, renew } = page.dataset;
  const report = (state) => window.parent.postMessage({ useid: "session", state }, location.origin);
  const frame = page.querySelector("iframe");
  const monitor = new SessionMonitor({ frame, clientId, sessionState, interval: 1000 * Number(interval), renew, report });
  // A page has loaded when its iframes have: before that, the provider's has no origin to address.
  if (document.readyState === "complete") monitor.start();
  else window.addEventListener("load", () => monitor.start(), { once: true });
}
