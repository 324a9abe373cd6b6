/**
 * `<useid-eid>`: log in with an ID card. docs/howto/eid.md lists attributes, events, parts and CSS properties.
 *
 *   <script type="module" src="/auth/widget/useid-eid.js"></script>
 *   <useid-eid server="/auth" return-url="/orders"></useid-eid>
 *
 * - `server`, `return-url`, `heartbeat`, `lang`: as of `<useid-login>`. `theme`: `auto`, `light` or `dark`; else the page's.
 * - `mode`: `standard`, `integrated`, `bound`, `same-device`, or `default`: what the server has for phones. Without it (`auto`),
 *   same-device on a phone, else `default`.
 * - `tenant`, `tc-token-url`: for a site with an eID integration of its own. `back`: the way back after a login that failed.
 * - The event `useid-back` with `{url}` comes before that way is taken; `preventDefault()` keeps the page.
 */

import { EIDAuth, onPhone } from "./eid-auth.js";
import { UseIDLogin } from "./useid-login.js";
import { h, say } from "./view.js";

const SAME_DEVICE = "same-device";
const SERVER_S_CHOICE = "default";
const FAILED = Object.freeze(["rejected", "expired", "error"]);

export class UseIDEID extends UseIDLogin {
  static observedAttributes = ["server", "return-url", "mode", "tenant", "tc-token-url", "heartbeat", "lang", "back"];
  static shownAttributes = ["lang", "back"];

  #parts;
  /** The mode that the user chose; null for the page's. */
  #mode = null;
  /** The user has asked for the client, which is started as soon as there is a login. */
  #opening = false;

  createAuth(options) {
    return new EIDAuth({
      ...options,
      mode: this.#mode ?? this.getAttribute("mode") ?? "auto",
      tenant: this.getAttribute("tenant"),
      tcTokenUrl: this.getAttribute("tc-token-url"),
    });
  }

  textsOf(language) {
    const text = super.textsOf(language);
    const { eid } = text;
    return { ...text, ...eid, status: { ...text.status, ...eid.status }, errors: { ...text.errors, ...eid.errors } };
  }

  furnish(view) {
    // In a frame it is the page around us that the client's answer belongs to.
    const open = h("a", { class: "button", part: "button", target: "_top" });
    const here = h("button", { class: "button quiet", part: "button", type: "button" });
    const elsewhere = h("button", { class: "button quiet", part: "button", type: "button" });
    const back = h("a", { class: "button quiet", part: "button", target: "_top" });
    here.addEventListener("click", () => this.#choose(SAME_DEVICE));
    elsewhere.addEventListener("click", () => this.#choose(SERVER_S_CHOICE));
    back.addEventListener("click", (event) => {
      if (!this.emit("useid-back", { url: back.href })) event.preventDefault();
    });
    view.retry.after(open, elsewhere, back);
    view.actions.prepend(here);
    this.#parts = { open, here, elsewhere, back };
  }

  wording(text, state) {
    const ours = state.mode === SAME_DEVICE && !state.error && !state.busy;
    return (ours && text.here[state.status]) || super.wording(text, state);
  }

  picture(state) {
    const fromCard = ["loading", "waiting", "scanned"].includes(state.status) && state.mode === SAME_DEVICE;
    return fromCard ? "card" : super.picture(state);
  }

  show(view, state, text) {
    const { open, here, elsewhere, back } = this.#parts;
    const local = state.mode === SAME_DEVICE;
    const waiting = state.status === "waiting" && !state.busy;
    const phone = onPhone();
    const target = webAddress(this.getAttribute("back"));

    view.card.dataset.mode = state.mode ?? "";
    say(view.lead, text.leads[state.mode ?? "standard"]);
    say(view.helpFrame, ["integrated", "bound"].includes(state.mode) ? text.helpSecret : "");
    say(open, text.openHere);
    say(here, text.onThisComputer);
    say(elsewhere, text.elsewhere);
    say(back, text.back);

    view.open.hidden = true;
    if (local) {
      view.qr.hidden = view.actions.hidden = view.help.hidden = true;
      view.badge.hidden = false;
    }
    open.hidden = !(local && waiting);
    elsewhere.hidden = !(local && (waiting || state.status === "scanned"));
    here.hidden = phone;
    back.hidden = !(target && FAILED.includes(state.status));
    if (target) back.href = target;
    if (open.hidden) return;
    open.href = (phone ? null : state.loopbackUrl) ?? state.clientUrl;
    if (this.#opening) {
      this.#opening = false;
      open.click();
    }
  }

  #choose(mode) {
    this.#mode = mode;
    this.#opening = mode === SAME_DEVICE;
    this.restart();
  }
}

/** An address as a page's link may have it: over HTTP, never `javascript:` and its like. */
function webAddress(text) {
  const url = text && URL.canParse(text, location.href) ? new URL(text, location.href) : null;
  return url?.protocol === "https:" || url?.protocol === "http:" ? url.href : null;
}

if (!customElements.get("useid-eid")) customElements.define("useid-eid", UseIDEID);
