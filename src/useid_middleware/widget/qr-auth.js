/**
 * The desktop's side of the device switch, without a DOM: what to show, and when.
 *
 *   const auth = new QRAuth({ server: "/auth" });
 *   auth.addEventListener("state", () => render(auth.state));
 *   auth.addEventListener("claimed", (event) => location.assign(event.detail.redirectTo));
 *   await auth.initSession();
 *
 * `state` is frozen and replaced as a whole: {status, qrData, sessionId, error, expiresAt, codeRequired, attemptsLeft, frame,
 * busy}. `error` is null or {code, message, retryAfter}; `code` is the server's own or one of network, server_unavailable,
 * invalid_response, connection_lost, already_claimed, too_many_codes. The wire is docs/reference/device-switch.md.
 */

import { Follower } from "./follow.js";
import { Failure, call } from "./request.js";

/** Status by signal. What is not listed changes nothing: a lost connection does not take the code form away. */
export const TRANSITIONS = Object.freeze({
  loading: { restart: "loading", waiting: "waiting", failed: "error" },
  waiting: {
    restart: "loading", waiting: "waiting", scanned: "scanned", code: "code", claimed: "approved",
    rejected: "rejected", expired: "expired", failed: "error", lost: "offline",
  },
  scanned: {
    restart: "loading", scanned: "scanned", code: "code", claimed: "approved",
    rejected: "rejected", expired: "expired", failed: "error", lost: "offline",
  },
  code: {
    restart: "loading", code: "code", claimed: "approved", rejected: "rejected", expired: "expired", failed: "error",
  },
  offline: {
    restart: "loading", waiting: "waiting", scanned: "scanned", code: "code", claimed: "approved",
    rejected: "rejected", expired: "expired", failed: "error", lost: "offline",
  },
  error: { restart: "loading", code: "code", claimed: "approved", rejected: "rejected", expired: "expired", failed: "error" },
  rejected: { restart: "loading" },
  expired: { restart: "loading" },
  approved: { restart: "loading" },
});

const INITIAL = Object.freeze({
  status: "loading", qrData: null, sessionId: null, error: null, expiresAt: null,
  codeRequired: false, attemptsLeft: null, frame: null, busy: false,
});

const FOLLOWED = Object.freeze(["waiting", "scanned", "code", "offline"]);
const SIGNAL_OF_ERROR = Object.freeze({ session_expired: "expired", session_unknown: "expired" });
const LINK = /^(?!javascript:|data:|vbscript:)[a-z][a-z0-9+.-]*:\/\/\S+$/i;
const STORED = Object.freeze({
  tana_session_token: "sessionToken", tana_user_id: "userId", tana_username: "username", tana_token_expiry: "expiresAt",
});

export class QRAuth extends EventTarget {
  #options;
  #state = INITIAL;
  #abort = null;
  #follower = null;
  #version = 0;
  #deadline = null;
  #endTimer;
  #approved = false;
  #claiming = false;

  /**
   * `storage: "tana"` keeps a bearer token in localStorage under the names of the flow page; by default nothing is kept.
   * Times are in milliseconds; `heartbeat` is the server's. fetch, EventSource, now, setTimeout, clearTimeout, random and
   * localStorage can be replaced; `now` must be monotonic, because clocks on the wall are set while people wait.
   */
  constructor(options = {}) {
    super();
    this.#options = {
      server: "/auth",
      returnUrl: null,
      appName: null,
      storage: null,
      heartbeat: 15_000,
      silence: 3_000,
      pollEvery: 2_000,
      timeout: 15_000,
      fetch: (...args) => globalThis.fetch(...args),
      EventSource: globalThis.EventSource,
      now: () => performance.now(),
      setTimeout: (...args) => globalThis.setTimeout(...args),
      clearTimeout: (timer) => globalThis.clearTimeout(timer),
      random: Math.random,
      localStorage: null,
      ...options,
    };
    this.#options.server = this.#options.server.replace(/\/+$/, "");
  }

  get state() {
    return this.#state;
  }

  /** Whole seconds until the login runs out, or null while unknown. Counted from `expiresIn`, never from `expiresAt`. */
  get secondsLeft() {
    if (this.#deadline === null) return null;
    return Math.max(0, Math.ceil((this.#deadline - this.#options.now()) / 1000));
  }

  /** Ask for a new login and follow it. What was under way is forgotten. */
  async initSession() {
    this.close();
    this.#version = 0;
    this.#deadline = null;
    this.#approved = false;
    this.#claiming = false;
    const { signal } = (this.#abort = new AbortController());
    this.#step("restart", INITIAL);
    const { returnUrl, appName } = this.#options;
    try {
      const body = { ...(appName && { appName }), ...(returnUrl && { returnUrl }) };
      const { sessionId, qrData, expiresAt, expiresIn } = await this.#call("POST", "/session/create", body);
      if (signal.aborted) return;
      const sound = /^[\w-]+$/.test(sessionId) && LINK.test(qrData) && Number.isFinite(expiresIn);
      if (!sound) throw new Failure("invalid_response", "the answer to create lacks sessionId, qrData or expiresIn");
      const frame = /[?&]frame=([^&]*)/.exec(qrData)?.[1] ?? null;
      this.#expectEnd(expiresIn);
      this.#step("waiting", { sessionId, qrData, expiresAt, frame });
      this.connectSSE();
    } catch (error) {
      if (!signal.aborted) this.#fail(Failure.of(error));
    }
  }

  /** Open the event stream, anew if there is one: also the way to hurry a reconnect when a network came back. */
  connectSSE() {
    if (this.#abort === null || !FOLLOWED.includes(this.#state.status)) return;
    if (this.#follower === null) {
      const path = `/session/${this.#state.sessionId}`;
      const { EventSource, random, heartbeat, silence, pollEvery } = this.#options;
      this.#follower = new Follower({
        url: `${this.#options.server}${path}/events`,
        ask: () => this.#call("GET", path),
        EventSource, clock: this.#options, random, heartbeat, silence, pollEvery,
        on: {
          snapshot: (snapshot) => this.#apply(snapshot),
          frame: (frame) => this.#turn(frame),
          lost: () => this.#lose(),
          failed: (failure) => this.#fail(failure),
        },
      });
    }
    this.#follower.open();
  }

  /** Claim the approved login with the code that the phone shows. Spaces and dashes in it do not matter. */
  async submitCode(code) {
    if (this.#state.status === "code") await this.#claim({ code: String(code).replace(/\D/g, "") });
  }

  /** Another attempt: reconnect; claim again if the phone has approved and only the claim failed; otherwise a new login. */
  async retry() {
    if (this.#state.status === "offline") {
      this.connectSSE();
      await this.#follower.poll();
    } else if (this.#state.status === "error" && this.#approved && this.secondsLeft > 0) {
      await this.#claimAgain();
    } else {
      await this.initSession();
    }
  }

  /** Let go of everything: stream, timers, requests under way. `initSession` starts again. */
  close() {
    this.#abort?.abort();
    this.#abort = null;
    this.#hangUp();
  }

  /** One signal through the table. `changes` are taken over even where the status stays. */
  #step(signal, changes = {}) {
    const status = TRANSITIONS[this.#state.status][signal];
    if (status === undefined) return;
    this.#state = Object.freeze({ ...this.#state, error: null, ...changes, status });
    if (!FOLLOWED.includes(status)) this.#hangUp();
    this.#announce();
  }

  #change(changes) {
    this.#state = Object.freeze({ ...this.#state, ...changes });
    this.#announce();
  }

  #announce() {
    this.dispatchEvent(new CustomEvent("state", { detail: this.#state }));
  }

  #fail(failure) {
    // Claiming once more only helps against what passes.
    this.#approved &&= failure.passing;
    this.#step(SIGNAL_OF_ERROR[failure.code] ?? "failed", { busy: false, error: failure.summary });
  }

  #lose() {
    const message = "the connection to the server was lost; reconnecting";
    this.#step("lost", { error: new Failure("connection_lost", message).summary });
  }

  /** A snapshot of the login, from the stream or from polling. One older than what we know is late and does not count. */
  #apply({ status, version = 0, expiresAt, expiresIn, frame, codeRequired = false }) {
    if (version < this.#version || !FOLLOWED.includes(this.#state.status)) return;
    this.#version = version;
    if (Number.isFinite(expiresIn)) this.#expectEnd(expiresIn);
    if (status === "approved") {
      this.#approved = true;
      const inForm = this.#state.status === "code";
      if (codeRequired) this.#step("code", { expiresAt, codeRequired, error: inForm ? this.#state.error : null });
      else this.#claim();
    } else if (status === "claimed") {
      // Our own claim is told by its answer. Anybody else's was another window of this browser.
      if (!this.#claiming) this.#fail(new Failure("already_claimed", "this login was finished in another window"));
    } else if (["waiting", "scanned", "rejected", "expired"].includes(status)) {
      this.#step(status, { expiresAt });
      this.#turn(frame);
    }
  }

  /** Put a new frame into the link. */
  #turn(frame) {
    if (typeof frame !== "string" || !/^[\w-]+$/.test(frame) || frame === this.#state.frame) return;
    this.#change({ frame, qrData: this.#state.qrData.replace(/([?&]frame=)[^&]*/, `$1${frame}`) });
  }

  async #claim(body = {}) {
    if (this.#claiming) return;
    this.#claiming = true;
    const { signal } = this.#abort;
    this.#change({ busy: true });
    try {
      const answer = await this.#call("POST", `/session/${this.#state.sessionId}/claim`, body);
      if (signal.aborted) return;
      if (typeof answer.redirectTo !== "string") throw new Failure("invalid_response", "the answer to claim lacks redirectTo");
      this.#keep(answer);
      this.#step("claimed", { busy: false, attemptsLeft: null });
      this.dispatchEvent(new CustomEvent("claimed", { detail: Object.freeze(answer) }));
    } catch (error) {
      if (signal.aborted) return;
      this.#claiming = false;
      this.#refused(Failure.of(error));
    }
  }

  async #claimAgain() {
    if (!this.#state.codeRequired) {
      await this.#claim();
      return;
    }
    this.#expectEnd(this.secondsLeft);
    this.#step("code");
    this.connectSSE();
  }

  /** A claim that failed. The code form stays for whatever the user can mend there. */
  #refused(failure) {
    const { code, attemptsLeft, summary } = failure;
    if (attemptsLeft === 0) {
      this.#step("rejected", { busy: false, attemptsLeft, error: { ...summary, code: "too_many_codes" } });
    } else if (code === "code_wrong" || code === "code_required") {
      this.#step("code", { busy: false, codeRequired: true, attemptsLeft, error: summary });
    } else if (failure.passing && this.#state.status === "code") {
      this.#step("code", { busy: false, error: summary });
    } else {
      this.#fail(failure);
    }
  }

  #keep(answer) {
    if (this.#options.storage !== "tana" || !answer.sessionToken) return;
    try {
      const storage = this.#options.localStorage ?? globalThis.localStorage;
      for (const [key, member] of Object.entries(STORED)) storage.setItem(key, answer[member]);
    } catch {
      // Storage may be full or forbidden; the login cookie works without it.
    }
  }

  #call(method, path, body) {
    const { fetch, server, timeout } = this.#options;
    return call({ fetch, clock: this.#options, timeout, signal: this.#abort.signal }, method, server + path, body);
  }

  /** The server says when it is over. Should the news not reach us, we know it ourselves a moment later. */
  #expectEnd(seconds) {
    const { now, setTimeout, clearTimeout } = this.#options;
    this.#deadline = now() + 1000 * seconds;
    clearTimeout(this.#endTimer);
    this.#endTimer = setTimeout(() => {
      // A claim under way knows better.
      if (!this.#claiming) this.#step("expired");
    }, 1000 * seconds + 1_500);
  }

  #hangUp() {
    this.#follower?.close();
    this.#follower = null;
    this.#options.clearTimeout(this.#endTimer);
  }
}
