/**
 * A login that goes on at another device or in another program, as the page that waits for it sees it, without a DOM: what
 * the kinds of login share. `QRAuth` and `EIDAuth` say how theirs begins (`begin`) and what completes it (`complete`).
 *
 * `state` is frozen and replaced as a whole; the event `state` tells of every change, `claimed` of the server's last answer.
 *
 * A login may be bound to this page (bound.js). Then the phone's approval alone completes nothing: the browser has to ask the
 * phone once more, near by, and gets sealed where the login leads.
 */

import { signalOf, unproven } from "./bound.js";
import { globals } from "./ceremony.js";
import { Follower } from "./follow.js";
import { LONGEST } from "./qrcode.js";
import { Failure, alone, call } from "./request.js";

/** Status by signal. What is not listed changes nothing: a lost connection takes neither code form nor button away. */
export const TRANSITIONS = Object.freeze({
  loading: { restart: "loading", waiting: "waiting", failed: "error" },
  waiting: {
    restart: "loading", waiting: "waiting", scanned: "scanned", confirmed: "confirmed", authenticating: "authenticate",
    code: "code", claimed: "approved", rejected: "rejected", expired: "expired", failed: "error", lost: "offline",
  },
  scanned: {
    restart: "loading", scanned: "scanned", confirmed: "confirmed", authenticating: "authenticate",
    code: "code", claimed: "approved", rejected: "rejected", expired: "expired", failed: "error", lost: "offline",
  },
  confirmed: {
    restart: "loading", confirmed: "confirmed", authenticating: "authenticate",
    claimed: "approved", rejected: "rejected", expired: "expired", failed: "error", lost: "offline",
  },
  authenticate: {
    restart: "loading", authenticating: "authenticate", claimed: "approved",
    rejected: "rejected", expired: "expired", failed: "error",
  },
  code: {
    restart: "loading", code: "code", claimed: "approved", rejected: "rejected", expired: "expired", failed: "error",
  },
  offline: {
    restart: "loading", waiting: "waiting", scanned: "scanned", confirmed: "confirmed", authenticating: "authenticate",
    code: "code", claimed: "approved", rejected: "rejected", expired: "expired", failed: "error", lost: "offline",
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

const FOLLOWED = Object.freeze(["waiting", "scanned", "confirmed", "authenticate", "code", "offline"]);
const SIGNAL_OF_ERROR = Object.freeze({ session_expired: "expired", session_unknown: "expired" });

/** What a link may be that is shown, drawn or opened: never a script. */
export const LINK = /^(?!javascript:|data:|vbscript:)[a-z][a-z0-9+.-]*:\/\/\S+$/i;

export class WaitingLogin extends EventTarget {
  /** Below the server: where the calls about one login are. */
  static path = "/session";

  #options;
  #state = INITIAL;
  #abort = null;
  #follower = null;
  #version = 0;
  #deadline = null;
  #endTimer;
  #approved = null;
  #claiming = false;
  #binding = null;

  /**
   * Times are in milliseconds; `heartbeat` is the server's. fetch, EventSource, now, setTimeout, clearTimeout, random, locks,
   * and what bound.js needs of a browser (crypto, origin, credentials, PublicKeyCredential) can be replaced; `now` must be
   * monotonic, because clocks on the wall are set while people wait.
   */
  constructor(options) {
    super();
    this.#options = {
      server: "/auth",
      returnUrl: null,
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
      locks: globalThis.navigator?.locks,
      crypto: globalThis.crypto,
      origin: globalThis.location?.origin,
      ...globals(),
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

  // ── what a kind of login says itself ──

  get options() {
    return this.#options;
  }

  /** Members of the state before the server has answered, beyond those of all logins. */
  get initial() {
    return {};
  }

  /**
   * Ask for a login. Returns `expiresIn`, `sessionId` and what else the state then has, and of a bound login its `binding`;
   * throws a Failure.
   */
  async begin() {
    throw new Error("a kind of login says how it begins");
  }

  /** Turn the approved snapshot and the typed code, if any, into an answer with `redirectTo`; throws a Failure. */
  async complete(snapshot, body) {
    const { sessionId } = this.#state;
    if (this.#binding !== null) return { redirectTo: await this.#binding.open(snapshot.sealedRefreshUrl, sessionId) };
    const answer = await this.request("POST", `${this.constructor.path}/${sessionId}/claim`, body);
    if (typeof answer.redirectTo !== "string") throw new Failure("invalid_response", "the answer to claim lacks redirectTo");
    return answer;
  }

  /** What a snapshot adds to the state. */
  explain(_snapshot) {
    return {};
  }

  /** Whether it is another window that ends up logged in. */
  get endsElsewhere() {
    return false;
  }

  /** A frame of the QR code arrived. */
  turn(_frame) {}

  /** Change what is shown, not the status. */
  change(changes) {
    this.#state = Object.freeze({ ...this.#state, ...changes });
    this.#announce();
  }

  /** Call the server; `path` is below its prefix. */
  request(method, path, body) {
    const { fetch, server, timeout } = this.#options;
    return call({ fetch, clock: this.#options, timeout, signal: this.#abort.signal }, method, server + path, body);
  }

  // ── what a page asks for ──

  /** Ask for a new login and follow it. What was under way is forgotten. */
  async initSession() {
    this.close();
    this.#version = 0;
    this.#deadline = null;
    this.#approved = null;
    this.#claiming = false;
    this.#binding = null;
    const { signal } = (this.#abort = new AbortController());
    this.#step("restart", { ...INITIAL, ...this.initial });
    try {
      const { locks } = this.#options;
      const { expiresIn, binding = null, ...changes } = await alone({ locks, signal }, () => this.begin());
      if (signal.aborted) return;
      const { sessionId, qrData } = changes;
      const sound = typeof sessionId === "string" && /^[\w-]+$/.test(sessionId) && Number.isFinite(expiresIn);
      if (!sound) throw new Failure("invalid_response", "the server's answer lacks sessionId or expiresIn");
      if (qrData && new TextEncoder().encode(qrData).length > LONGEST) {
        throw new Failure("link_too_long", `a QR code holds ${LONGEST} bytes`);
      }
      this.#binding = binding;
      this.#expectEnd(expiresIn);
      this.#step("waiting", changes);
      this.connectSSE();
    } catch (error) {
      if (!signal.aborted) this.#fail(Failure.of(error));
    }
  }

  /** Open the event stream, anew if there is one: also the way to hurry a reconnect when a network came back. */
  connectSSE() {
    if (this.#abort === null || !FOLLOWED.includes(this.#state.status)) return;
    if (this.#follower === null) {
      const path = `${this.constructor.path}/${this.#state.sessionId}`;
      const { EventSource, random, heartbeat, silence, pollEvery } = this.#options;
      this.#follower = new Follower({
        url: `${this.#options.server}${path}/events`,
        ask: () => this.request("GET", path),
        EventSource, clock: this.#options, random, heartbeat, silence, pollEvery,
        on: {
          snapshot: (snapshot) => this.#apply(snapshot),
          frame: (frame) => this.turn(frame),
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

  /**
   * Have the browser ask the phone for the credential that it has made for this login, and finish with it. For status
   * `authenticate`, from a click. After a cancel the status stays, and the same can be asked again.
   */
  async authenticate() {
    if (this.#state.status !== "authenticate" || this.#state.busy) return;
    this.change({ busy: true, error: null });
    try {
      const answer = await this.#binding.prove((path, body) => this.request("POST", path, body));
      if (answer === null) return;
      this.#approved = answer;
      await this.#claim();
    } catch (error) {
      this.#unproven(Failure.of(error));
    }
  }

  /** Another attempt: reconnect; claim again if the phone has approved and only the claim failed; otherwise a new login. */
  async retry() {
    if (this.#state.status === "offline") {
      this.connectSSE();
      await this.#follower.poll();
    } else if (this.#state.status === "error" && this.#approved !== null && this.secondsLeft > 0) {
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
    const isFollowed = FOLLOWED.includes(status);
    this.#state = Object.freeze({ ...this.#state, error: null, busy: this.#state.busy && isFollowed, ...changes, status });
    if (!isFollowed) this.#hangUp();
    this.#announce();
  }

  #announce() {
    this.dispatchEvent(new CustomEvent("state", { detail: this.#state }));
  }

  #fail(failure) {
    // Claiming once more only helps against what passes.
    if (!failure.passing) this.#approved = null;
    this.#step(SIGNAL_OF_ERROR[failure.code] ?? "failed", { busy: false, error: failure.summary });
  }

  #lose() {
    const message = "the connection to the server was lost; reconnecting";
    this.#step("lost", { error: new Failure("connection_lost", message).summary });
  }

  /** A snapshot of the login, from the stream or from polling. One older than what we know is late and does not count. */
  #apply(snapshot) {
    const { status, version = 0, expiresAt, expiresIn, frame, codeRequired = false } = snapshot;
    if (version < this.#version || !FOLLOWED.includes(this.#state.status)) return;
    this.#version = version;
    if (Number.isFinite(expiresIn)) this.#expectEnd(expiresIn);
    if (status === "approved") {
      this.#approved = snapshot;
      if (codeRequired) this.#step("code", { expiresAt, codeRequired, error: this.#errorIn("code") });
      else this.#claim();
    } else if (status === "authenticating") {
      this.#ask(snapshot);
    } else if (status === "claimed") {
      // Our own claim is told by its answer. Anybody else's was another window of this browser.
      if (this.endsElsewhere) this.#step("claimed");
      else if (!this.#claiming) this.#fail(new Failure("already_claimed", "this login was finished in another window"));
    } else if (["rejected", "expired"].includes(status)) {
      // A proof under way knows better: its answer says why, and where that is lost, asking tells us this again.
      if (this.#binding?.isSent) return;
      const isUnproven = status === "rejected" && this.#state.status === "authenticate";
      this.#step(status, { expiresAt, error: isUnproven ? unproven().summary : null, ...this.explain(snapshot) });
    } else if (["waiting", "scanned", "confirmed"].includes(status)) {
      this.#step(status, { expiresAt, ...this.explain(snapshot) });
      this.turn(frame);
    }
  }

  /** What was wrong, as long as the status is this one: the same snapshot may come again. */
  #errorIn(status) {
    return this.#state.status === status ? this.#state.error : null;
  }

  /** The phone has made its credential: the browser is to ask for it, as soon as somebody clicks. */
  #ask(snapshot) {
    try {
      if (this.#binding === null) throw new Failure("invalid_response", "this login is not bound");
      this.#binding.expect(snapshot);
      this.#step("authenticating", { expiresAt: snapshot.expiresAt, error: this.#errorIn("authenticate") });
    } catch (error) {
      this.#fail(Failure.of(error));
    }
  }

  /** A proof that came to nothing: the server's refusal ends the login, all else can be tried again. */
  #unproven(failure) {
    if (this.#claiming) return;
    const signal = signalOf(failure);
    if (signal !== "authenticating") {
      this.#step(signal, { error: failure.summary });
      return;
    }
    this.#step(signal, { busy: false, error: failure.summary });
    this.#expectEnd(this.secondsLeft);
    // Perhaps only the answer was lost: then the server knows more than we do.
    if (failure.passing) this.#follower.poll({ again: false });
  }

  async #claim(body = {}) {
    if (this.#claiming) return;
    this.#claiming = true;
    const { signal } = this.#abort;
    this.change({ busy: true });
    try {
      const answer = await this.complete(this.#approved, body);
      if (signal.aborted) return;
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

  /** The server says when it is over. Should the news not reach us, we know it ourselves a moment later. */
  #expectEnd(seconds) {
    const { now, setTimeout, clearTimeout } = this.#options;
    this.#deadline = now() + 1000 * seconds;
    clearTimeout(this.#endTimer);
    this.#endTimer = setTimeout(() => {
      // A claim or a proof under way knows better.
      if (!this.#claiming && !this.#binding?.isSent) this.#step("expired");
    }, 1000 * seconds + 1_500);
  }

  #hangUp() {
    this.#binding?.abort();
    this.#follower?.close();
    this.#follower = null;
    this.#options.clearTimeout(this.#endTimer);
  }
}
