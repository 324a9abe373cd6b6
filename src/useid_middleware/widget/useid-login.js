/**
 * `<useid-login>`: log in by scanning a QR code. docs/howto/widget.md lists attributes, events, parts and CSS properties.
 *
 *   <script type="module" src="/auth/widget/useid-login.js"></script>
 *   <useid-login server="/auth" return-url="/orders"></useid-login>
 */

import de from "./locales/de.js";
import en from "./locales/en.js";
import { explain, follow, languageOf } from "./page.js";
import { QRAuth } from "./qr-auth.js";
import { draw, encode } from "./qrcode.js";
import { build, h, icon, say } from "./view.js";

const LOCALES = Object.freeze({ en, de });
const STYLE = new URL("./useid-login.css", import.meta.url).href;
const FAILURES = Object.freeze(["rejected", "expired", "error", "offline"]);
const COUNTED = Object.freeze(["waiting", "scanned", "confirmed", "authenticate", "code", "offline"]);
const ANNOUNCED_SECONDS = Object.freeze([60, 30, 10]);
/** How long the good news can be read before the page is left. */
export const APPROVED_MS = 1_500;
const COPIED_MS = 2_000;

/** `<useid-eid>` is one too: what differs is in the methods from `createAuth` to `show`. */
export class UseIDLogin extends HTMLElement {
  static observedAttributes = ["server", "return-url", "app-name", "storage", "heartbeat", "lang", "same-device"];
  /** Those that only change what is shown. The others start a new login. */
  static shownAttributes = ["lang", "same-device"];

  #auth = null;
  #view = null;
  #listeners = null;
  #ticker;
  #redirect;
  #copied;
  #shown = null;
  #drawn = null;
  #secondsBefore = Infinity;

  /** The state of QRAuth: {status, qrData, sessionId, error, …}; null before the element is connected. */
  get state() {
    return this.#auth?.state ?? null;
  }

  /** The link that the QR code holds now. */
  get qrData() {
    return this.state?.qrData ?? null;
  }

  // ── what a kind of login has of its own ──

  /** The state class of one login; `options` are those that all have. */
  createAuth(options) {
    return new QRAuth({ ...options, appName: this.getAttribute("app-name"), storage: this.getAttribute("storage") });
  }

  /** The texts of a language. */
  textsOf(language) {
    return LOCALES[language];
  }

  /** Add to the card what others do not have. */
  furnish(_view) {}

  /** Headline and explanation of a state. */
  wording(text, state) {
    return wording(text, state);
  }

  /** The name of the drawing for a state. */
  picture(state) {
    return state.status;
  }

  /** Show what is particular; all that is common is shown already. */
  show(view, _state, _text) {
    view.open.hidden = !this.hasAttribute("same-device");
  }

  // ──

  connectedCallback() {
    if (this.#view === null) this.#build();
    const { signal } = (this.#listeners = new AbortController());
    window.addEventListener("online", () => this.#auth.connectSSE(), { signal });
    // A page that comes back from the back/forward cache has lost its stream, or is about a login that is over.
    window.addEventListener("pageshow", (event) => event.persisted && this.restart(), { signal });
    this.#ticker = setInterval(() => this.#countDown(), 1000);
    this.restart();
  }

  disconnectedCallback() {
    this.#listeners.abort();
    clearInterval(this.#ticker);
    this.#stop();
  }

  attributeChangedCallback(name, before, after) {
    if (this.#auth === null || before === after) return;
    if (this.constructor.shownAttributes.includes(name)) this.#render();
    else this.restart();
  }

  /** Another attempt, as the button makes it. */
  retry() {
    return this.#auth?.retry();
  }

  /** Forget the login under way and begin another. */
  restart() {
    this.#stop();
    this.#shown = null;
    const auth = this.createAuth({
      server: this.getAttribute("server") ?? "/auth",
      returnUrl: this.getAttribute("return-url"),
      heartbeat: 1000 * (Number(this.getAttribute("heartbeat")) || 15),
    });
    this.#auth = auth;
    auth.addEventListener("state", () => {
      if (auth !== this.#auth) return;
      this.#render();
      this.emit("useid-state", auth.state);
    });
    auth.addEventListener("claimed", (event) => {
      if (auth !== this.#auth || !this.emit("useid-claimed", event.detail)) return;
      this.#redirect = setTimeout(() => follow(event.detail.redirectTo), APPROVED_MS);
    });
    auth.initSession();
  }

  #stop() {
    clearTimeout(this.#redirect);
    clearTimeout(this.#copied);
    this.#auth?.close();
    this.#auth = null;
  }

  /** Tell the page; false when it prevents what would come next. */
  emit(name, detail) {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: true }));
  }

  #build() {
    const view = (this.#view = build());
    view.retry.addEventListener("click", () => this.retry());
    view.proceed.addEventListener("click", () => this.#proceed());
    view.copy.addEventListener("click", () => this.#copy());
    view.qr.addEventListener("click", () => this.emit("useid-qr-click", { qrData: this.qrData }));
    view.input.addEventListener("input", () => group(view.input));
    view.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.furnish(view);
    // Unstyled parts would jump into place, so the card waits for its style; without the style it appears nevertheless.
    const style = h("link", { rel: "stylesheet", href: STYLE });
    const appear = () => {
      view.card.hidden = false;
    };
    style.addEventListener("load", appear);
    style.addEventListener("error", appear);
    view.card.hidden = true;
    this.attachShadow({ mode: "open" }).append(style, view.card);
  }

  #render() {
    const view = this.#view;
    const state = this.#auth.state;
    const language = languageOf(this, LOCALES);
    const text = this.textsOf(language);
    const { status, busy, error } = state;
    const focused = this.shadowRoot.activeElement;
    const failed = FAILURES.includes(status);
    const proving = status === "authenticate";
    const [headline, detail] = this.wording(text, state);
    const [failHeadline, failDetail] = failed ? [headline, detail] : proving && error ? errorWording(text, error) : ["", ""];

    view.card.lang = language;
    view.card.dataset.status = status;
    view.card.setAttribute("aria-busy", String(status === "loading" || busy));
    say(view.title, text.title(this.getAttribute("app-name")));
    say(view.lead, text.lead);
    say(view.headline, failed ? "" : headline);
    say(view.detail, failed ? "" : detail);
    say(view.failHeadline, failHeadline);
    say(view.failDetail, failDetail);
    say(view.codeLabel, text.codeLabel);
    say(view.submit, busy ? text.submitting : text.submit);
    say(view.proceed, busy ? text.proceeding : error ? text.retry : text.proceed);
    say(view.retry, { expired: text.refresh, offline: text.reconnect }[status] ?? text.retry);
    say(view.open, text.openHere);
    say(view.copy, text.copyLink);
    say(view.helpSummary, text.help);
    say(view.helpText, text.helpText);
    say(view.helpFrame, state.frame ? text.helpFrame : "");

    const waiting = status === "waiting" && !busy;
    view.lead.hidden = !(waiting || status === "loading");
    view.stage.hidden = status === "code";
    view.qr.hidden = !waiting;
    view.badge.hidden = waiting;
    view.form.hidden = status !== "code";
    view.retry.hidden = !failed;
    view.retry.setAttribute("aria-disabled", String(busy));
    view.submit.setAttribute("aria-disabled", String(busy));
    view.proceed.hidden = !proving;
    view.proceed.setAttribute("aria-disabled", String(busy));
    view.actions.hidden = !waiting;
    view.help.hidden = !waiting;
    if (waiting && state.qrData) this.#draw(state.qrData, text.qrLabel);
    if (status === "code") this.#renderCodeError(state, text);
    this.show(view, state, text);
    if (status !== this.#shown) this.#enter(status, focused);
    this.#countDown();
  }

  /** Draw a link once: states and languages change more often than links do. */
  #draw(qrData, label) {
    const { qr, open, link } = this.#view;
    if (this.#drawn !== qrData) {
      this.#drawn = qrData;
      open.href = qrData;
      say(link, qrData);
      qr.replaceChildren(draw(document, encode(qrData), label));
    }
    qr.firstChild.setAttribute("aria-label", label);
  }

  #renderCodeError({ error, attemptsLeft }, text) {
    const { input, codeError } = this.#view;
    const parts = error ? [...errorWording(text, error), attemptsLeft === null ? "" : text.attemptsLeft(attemptsLeft)] : [];
    const [headline = "", ...rest] = parts.filter(Boolean);
    say(codeError, headline && `${headline}. ${rest.join(" ")}`);
    const wrong = error?.code === "code_wrong";
    input.setAttribute("aria-invalid", String(wrong));
    if (wrong && this.shadowRoot.activeElement !== null) input.select();
  }

  /** A status was entered: the picture changes, and the focus goes to what the user must do next. */
  #enter(status, focused) {
    const { announcer, badge, card, input, codeError, proceed, retry } = this.#view;
    this.#shown = status;
    say(announcer, "");
    this.#secondsBefore = Infinity;
    badge.replaceChildren(icon(this.picture(this.state)));
    if (status === "code") {
      input.value = "";
      say(codeError, "");
      if (!typingElsewhere(this)) input.focus();
    } else if (status === "authenticate") {
      if (!typingElsewhere(this)) proceed.focus();
    } else if (focused !== null && FAILURES.includes(status)) {
      retry.focus();
    } else if (focused?.closest("[hidden]")) {
      // What had the focus is gone. Staying in the card keeps a keyboard user's place.
      card.focus();
    }
  }

  #countDown() {
    const { timer, announcer, card } = this.#view;
    const seconds = this.#auth?.secondsLeft ?? null;
    const counted = seconds !== null && COUNTED.includes(this.#shown);
    timer.hidden = !counted;
    if (!counted) return;
    const text = this.textsOf(card.lang);
    say(timer, text.expiresIn(`${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`));
    const mark = ANNOUNCED_SECONDS.find((each) => this.#secondsBefore > each && seconds <= each && seconds > each - 5);
    if (mark !== undefined && this.#secondsBefore !== Infinity) say(announcer, text.secondsLeft(mark));
    this.#secondsBefore = seconds;
  }

  #submit() {
    const { input, codeError, card } = this.#view;
    if (digits(input.value).length === 6) {
      this.#auth.submitCode(input.value);
      return;
    }
    say(codeError, this.textsOf(card.lang).codeIncomplete);
    input.setAttribute("aria-invalid", "true");
    input.focus();
  }

  /** A browser asks for one credential at a time: what offers passkeys in a field of this page makes way for ours. */
  #proceed() {
    if (this.state.busy) return;
    this.emit("useid-asking");
    this.#auth.authenticate();
  }

  async #copy() {
    const { copy, announcer, card, help, link } = this.#view;
    const text = this.textsOf(card.lang);
    try {
      await navigator.clipboard.writeText(this.qrData);
    } catch {
      // No clipboard without a secure context or permission: show the link, selected, to be copied by hand.
      help.open = true;
      getSelection().selectAllChildren(link);
      return;
    }
    say(copy, text.copied);
    say(announcer, text.copied);
    clearTimeout(this.#copied);
    this.#copied = setTimeout(() => {
      say(copy, text.copyLink);
      say(announcer, "");
    }, COPIED_MS);
  }
}

const digits = (value) => value.replace(/\D/g, "").slice(0, 6);

/** Show the digits as 3 + 3 and keep the caret behind the digit it was behind. */
function group(input) {
  const value = digits(input.value);
  const before = digits(input.value.slice(0, input.selectionStart)).length;
  const grouped = value.length > 3 ? `${value.slice(0, 3)} ${value.slice(3)}` : value;
  if (grouped === input.value) return;
  input.value = grouped;
  const caret = before > 3 ? before + 1 : before;
  input.setSelectionRange(caret, caret);
}

/** Whether the user is at work in a field outside the widget, from which the focus must not be taken. */
function typingElsewhere(element) {
  const active = document.activeElement;
  return active !== element && (active?.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(active?.tagName));
}

/** Headline and explanation of a failure. Whatever was wrong with a proof, to the person it is one and the same. */
function errorWording(text, error) {
  return explain(text, error.code.startsWith("webauthn_") ? { ...error, code: "binding_refused" } : error);
}

/** Headline and explanation of a state. */
function wording(text, { status, busy, error }) {
  if (status === "code") return text.status.code;
  if (status === "authenticate") return text.status[busy ? "proving" : "authenticate"];
  if (error && (error.code in text.errors || error.code.startsWith("webauthn_"))) return errorWording(text, error);
  if (busy) return text.status.claiming;
  return text.status[status] ?? errorWording(text, error);
}

if (!customElements.get("useid-login")) customElements.define("useid-login", UseIDLogin);
