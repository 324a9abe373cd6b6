/**
 * `<useid-session>`: tells a page at once that its login session has ended. For pages that were served to somebody logged in.
 *
 *   <script type="module" src="/auth/widget/useid-session.js"></script>
 *   <useid-session server="/auth" login="/auth/login" monitor></useid-session>
 *
 * - `server`: path of the plugin. `login`: where "Log in again" leads, `{server}/login` by default; `?return=` names this page.
 * - `monitor`: also watch the session at the OpenID provider. `reload`: load the page again instead of showing a notice.
 * - `lang`: `en` or `de`; otherwise the document's language. `heartbeat`: the server's `sse.heartbeat` in seconds.
 * - The event `useid-session-ended` with `{reason}` comes first; `preventDefault()` keeps notice and reload away.
 *
 * The stream is open while the page is shown. A hidden page has nobody to tell, and six streams are all that a browser opens
 * to one server over HTTP/1.1, so its stream is closed; shown again, it asks at once.
 */

import { Follower } from "./follow.js";
import de from "./locales/de.js";
import en from "./locales/en.js";
import { languageOf } from "./page.js";
import { call, parseObject } from "./request.js";
import { h, icon } from "./view.js";

const LOCALES = Object.freeze({ en, de });
const STYLE = new URL("./useid-login.css", import.meta.url).href;
const ASK_EVERY_MS = 5_000;
const TIMEOUT_MS = 15_000;
/** A page that is just being left (by a logout, mostly) is spared the notice, unless it is still there after this. */
const LEAVING_MS = 3_000;
/** Somebody logged in anew in this browser: the new cookie is on its way. */
const ROTATION_MS = 2_000;

export class UseIDSession extends HTMLElement {
  static observedAttributes = ["server", "monitor"];

  #reason = null;
  #follower = null;
  #frame = null;
  #abort = null;
  #listeners = null;
  #timer;
  #wasOpen = false;
  #leftAt = -Infinity;

  /** Why the session has ended, in the server's word; null while it goes on. */
  get ended() {
    return this.#reason;
  }

  connectedCallback() {
    if (this.shadowRoot === null) {
      // Loaded ahead, so that the notice has its look even when the server is out of reach by then.
      this.attachShadow({ mode: "open" }).append(h("link", { rel: "stylesheet", href: STYLE }));
    }
    const { signal } = (this.#listeners = new AbortController());
    window.addEventListener("online", () => this.#follower?.open(), { signal });
    window.addEventListener("message", (event) => this.#hear(event), { signal });
    window.addEventListener("beforeunload", () => (this.#leftAt = performance.now()), { signal });
    // A page that comes back from the back/forward cache has lost its stream.
    window.addEventListener("pageshow", (event) => event.persisted && this.#start(), { signal });
    document.addEventListener("visibilitychange", () => this.#follow(), { signal });
    this.#start();
  }

  disconnectedCallback() {
    this.#listeners.abort();
    this.#stop();
  }

  attributeChangedCallback(name, before, after) {
    if (this.#listeners !== null && this.isConnected && before !== after) this.#start();
  }

  get #server() {
    return (this.getAttribute("server") ?? "/auth").replace(/\/+$/, "");
  }

  #start() {
    this.#stop();
    if (this.#reason !== null) return;
    this.#follow();
    if (!this.hasAttribute("monitor")) return;
    this.#frame = h("iframe", {
      src: `${this.#server}/session-monitor`, title: this.#text.monitor, hidden: true, "aria-hidden": "true", tabindex: "-1",
    });
    this.shadowRoot.append(this.#frame);
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#hangUp();
    this.#frame?.remove();
    this.#frame = null;
  }

  #hangUp() {
    this.#abort?.abort();
    this.#follower?.close();
    this.#follower = null;
  }

  /** Open the stream, anew if there is one, as long as there is a session and somebody to tell. */
  #follow() {
    this.#hangUp();
    if (this.#reason !== null || document.visibilityState === "hidden") return;
    const { signal } = (this.#abort = new AbortController());
    const asking = { fetch: (...args) => window.fetch(...args), clock: window, timeout: TIMEOUT_MS, signal };
    this.#follower = new Follower({
      url: `${this.#server}/sessions/current/events`,
      ask: () => call(asking, "GET", `${this.#server}/sessions`),
      EventSource: sourceTelling({
        alive: () => {
          this.#wasOpen = true;
        },
        ended: ({ reason }) => this.#end(reason),
      }),
      clock: window,
      random: Math.random,
      heartbeat: 1000 * (Number(this.getAttribute("heartbeat")) || 15),
      silence: ASK_EVERY_MS,
      pollEvery: ASK_EVERY_MS,
      on: {
        snapshot: () => {},
        frame: () => {},
        lost: () => {},
        // Anything but a missing session means that this server has no such stream: then there is nothing to watch.
        failed: ({ code }) => (code === "login_required" ? this.#end("ended") : this.#hangUp()),
      },
    });
    this.#follower.open();
  }

  #hear({ source, origin, data }) {
    if (this.#frame === null || source !== this.#frame.contentWindow || origin !== location.origin) return;
    if (data?.useid !== "session") return;
    if (data.state === "ended") this.#end("session_changed");
    if (data.state === "stopped") {
      this.#frame.remove();
      this.#frame = null;
    }
  }

  #end(reason) {
    if (this.#reason !== null) return;
    this.#hangUp();
    clearTimeout(this.#timer);
    if (reason === "rotated") {
      this.#timer = setTimeout(() => this.#follow(), ROTATION_MS);
      return;
    }
    this.#reason = String(reason ?? "ended");
    this.#stop();
    const isLeaving = performance.now() - this.#leftAt < LEAVING_MS;
    this.#timer = setTimeout(() => this.#tell(), isLeaving ? LEAVING_MS : 0);
  }

  #tell() {
    const detail = Object.freeze({ reason: this.#reason });
    const event = new CustomEvent("useid-session-ended", { detail, bubbles: true, composed: true, cancelable: true });
    if (!this.dispatchEvent(event)) return;
    // A page that is served to nobody as well would be loaded again for ever.
    if (this.hasAttribute("reload") && this.#wasOpen) location.reload();
    else this.#show();
  }

  get #text() {
    return LOCALES[languageOf(this, LOCALES)].session;
  }

  /** The notice. It takes the focus itself and not to a button: a person typing would press that without a look. */
  #show() {
    const text = this.#text;
    const [title, why] = Object.hasOwn(text.ended, this.#reason) ? text.ended[this.#reason] : text.ended.ended;
    const again = h("button", { class: "button", part: "button", type: "button" }, text.again);
    const stay = h("button", { class: "button quiet", part: "button", type: "button" }, text.stay);
    const notice = h(
      "dialog",
      {
        class: "notice card", part: "card", role: "alertdialog", lang: languageOf(this, LOCALES), tabindex: "-1",
        "data-status": "expired", "aria-labelledby": "title", "aria-describedby": "why",
      },
      h("div", { class: "badge small", part: "badge" }, icon("expired")),
      h("h2", { class: "title", id: "title", part: "title" }, title),
      h("p", { class: "detail", id: "why" }, why),
      h("div", { class: "actions" }, again, stay),
    );
    again.addEventListener("click", () => this.#logInAgain());
    stay.addEventListener("click", () => notice.close());
    notice.addEventListener("close", () => notice.remove());
    this.shadowRoot.append(notice);
    notice.showModal();
    notice.focus();
  }

  #logInAgain() {
    const url = new URL(this.getAttribute("login") ?? `${this.#server}/login`, location.href);
    if (!url.searchParams.has("return")) url.searchParams.set("return", location.pathname + location.search + location.hash);
    // Only over HTTP: never `javascript:` and its like.
    if (url.protocol === "https:" || url.protocol === "http:") location.assign(url);
  }
}

/** An EventSource as Follower expects it, which hands the session's own events over; the greeting is a sign of life. */
function sourceTelling(on) {
  return class extends EventSource {
    constructor(url) {
      super(url);
      this.addEventListener("alive", (event) => {
        on.alive();
        this.dispatchEvent(new MessageEvent("ping", { data: event.data }));
      });
      this.addEventListener("ended", (event) => on.ended(parseObject(event.data) ?? {}));
    }
  };
}

if (!customElements.get("useid-session")) customElements.define("useid-session", UseIDSession);
