/**
 * `<useid-passkey>`: log in with a passkey, confirm with one who is logged in, or manage one's passkeys.
 *
 *   <script type="module" src="/auth/widget/useid-passkey.js"></script>
 *   <useid-passkey server="/auth" return-url="/orders"></useid-passkey>
 *
 * - `mode`: `login` (without it), `step-up` or `manage`. `server`: path of the plugin. `lang`: `en` or `de`; else the page's.
 * - `return-url`: where a login or a confirmation leads; must be allowed by the settings.
 * - `for`, with `login`: the id of the page's own field for the user name, instead of ours. Browsers offer passkeys in it if
 *   its `autocomplete` is `username webauthn`.
 * - Events: `useid-state` with the state; `useid-claimed` with the server's answer, before the redirect that
 *   `preventDefault()` stops; `useid-passkeys` with `{passkeys}` when the list was loaded.
 *
 * A button starts every ceremony but one: while a login is offered, the browser may show passkeys in the field.
 */

import de from "./locales/de.js";
import en from "./locales/en.js";
import { explain, follow, languageOf } from "./page.js";
import { PasskeyList } from "./passkey-list.js";
import { Passkeys, supports } from "./passkeys.js";
import { Failure } from "./request.js";
import { h, icon, say } from "./view.js";

const LOCALES = Object.freeze({ en, de });
const STYLE = new URL("./useid-login.css", import.meta.url).href;
const OWN_STYLE = new URL("./useid-passkey.css", import.meta.url).href;
const MODES = Object.freeze(["login", "step-up", "manage"]);

/** Status by signal. What is not listed changes nothing. */
export const TRANSITIONS = Object.freeze({
  loading: { ready: "ready", unsupported: "unsupported", failed: "error" },
  ready: { begun: "busy" },
  busy: { ready: "ready", claimed: "approved", cancelled: "cancelled", failed: "error" },
  cancelled: { begun: "busy" },
  error: { begun: "busy" },
  unsupported: {},
  approved: {},
});

/** `doing` and `notice` say what is being done and what has just been done; `passkeys` is null until the list is there. */
const INITIAL = Object.freeze({
  status: "loading", error: null, doing: null, notice: null, canCreate: false, passkeys: null,
});

export class UseIDPasskey extends HTMLElement {
  static observedAttributes = ["mode", "server", "return-url", "for", "lang"];

  #state = null;
  #passkeys = null;
  #view = null;
  #listeners = null;
  #canListen = false;
  #listening = null;

  /** Frozen: {mode, status, error, doing, notice, canCreate, passkeys}; null before the element is connected. */
  get state() {
    return this.#state;
  }

  connectedCallback() {
    this.restart();
  }

  disconnectedCallback() {
    this.#stop();
  }

  attributeChangedCallback(name, before, after) {
    if (this.#state === null || !this.isConnected || before === after) return;
    if (name === "lang") this.#render();
    else this.restart();
  }

  /** Forget what is under way and begin anew. */
  restart() {
    this.#stop();
    const mode = MODES.find((each) => each === this.getAttribute("mode")) ?? "login";
    if (this.#view?.mode !== mode) this.#build(mode);
    this.#passkeys = new Passkeys({ server: this.getAttribute("server") ?? "/auth" });
    this.#state = Object.freeze({ ...INITIAL, mode });
    this.#announce();
    const { signal } = (this.#listeners = new AbortController());
    // A page that comes back from the back/forward cache is about a login that is over.
    window.addEventListener("pageshow", (event) => event.persisted && this.restart(), { signal });
    document.addEventListener("visibilitychange", () => this.#listen(), { signal });
    document.addEventListener("useid-asking", () => this.#makeWay(), { signal });
    this.#field?.addEventListener("focus", () => this.#listen(), { signal });
    this.#prepare(this.#passkeys, mode);
  }

  #stop() {
    this.#listeners?.abort();
    this.#passkeys?.close();
    this.#passkeys = null;
    this.#listening = null;
    this.#canListen = false;
  }

  // ── what is done ──

  async #prepare(passkeys, mode) {
    const { passkeys: canCreate, autofill } = await supports();
    if (passkeys !== this.#passkeys) return;
    if (mode === "manage") {
      await this.#guard(passkeys, async () => this.#show("ready", await passkeys.list(), { canCreate }));
      return;
    }
    if (!canCreate) {
      this.#step("unsupported");
      return;
    }
    this.#step("ready", { canCreate });
    this.#canListen = mode === "login" && autofill;
    this.#listen();
  }

  /** What the user has asked for, one thing at a time. `work` ends with a step. */
  async #run(doing, work) {
    const passkeys = this.#passkeys;
    if (!this.#isIdle) return;
    this.#step("begun", { doing });
    await this.#guard(passkeys, () => work(passkeys));
    // The button has taken the field's turn.
    this.#listen();
  }

  async #guard(passkeys, work) {
    try {
      await work();
    } catch (error) {
      if (passkeys === this.#passkeys) this.#fail(Failure.of(error));
    }
  }

  #act() {
    const { mode, passkeys: known } = this.#state;
    const returnUrl = this.getAttribute("return-url") ?? "";
    if (mode === "manage") return known === null ? this.restart() : this.#add();
    const username = this.#field?.value?.trim() ?? "";
    return this.#run("asking", async (passkeys) => {
      const asked = mode === "step-up" ? passkeys.stepUp({ returnUrl }) : passkeys.login({ username, returnUrl });
      this.#claimed(passkeys, await asked);
    });
  }

  /** A new passkey gets its name once it is there, so that nobody types one for a passkey that does not come about. */
  #add() {
    return this.#run("asking", async (passkeys) => {
      const { id } = await registered(passkeys);
      await this.#reload(passkeys, "added");
      this.#view.list.edit(id);
    });
  }

  #rename(id, name) {
    return this.#run("saving", async (passkeys) => {
      await passkeys.rename(id, name);
      await this.#reload(passkeys, "renamed");
      this.#view.list.focus(id);
    });
  }

  #remove(id) {
    return this.#run("saving", async (passkeys) => {
      await passkeys.remove(id);
      await this.#reload(passkeys, "removed");
      // What had the focus is gone. Staying in the card keeps a keyboard user's place.
      this.#view.card.focus();
    });
  }

  async #reload(passkeys, notice) {
    const list = await passkeys.list();
    if (passkeys === this.#passkeys) this.#show("ready", list, { notice });
  }

  #show(signal, passkeys, changes) {
    this.#step(signal, { passkeys, ...changes });
    this.#emit("useid-passkeys", { passkeys });
  }

  /** Let the browser offer passkeys in the field, until one is picked. Nobody has asked, so that failing to is silent. */
  async #listen() {
    const passkeys = this.#passkeys;
    const isWanted = this.#canListen && this.#listening === null && this.#isIdle && document.visibilityState === "visible";
    if (!isWanted || !this.#field?.autocomplete?.includes("webauthn")) return;
    const ours = (this.#listening = {});
    let failure = null;
    let isChosen = false;
    const onChosen = () => {
      isChosen = true;
      this.#step("begun", { doing: "checking" });
    };
    try {
      const returnUrl = this.getAttribute("return-url") ?? "";
      this.#claimed(passkeys, await passkeys.login({ conditional: true, returnUrl, onChosen }));
    } catch (error) {
      failure = Failure.of(error);
    }
    if (ours !== this.#listening) return;
    this.#listening = null;
    if (isChosen && failure !== null) this.#fail(failure);
    // After any other end the user's next turn to the field or the page begins anew.
    if (failure?.code === "challenge_expired") this.#listen();
  }

  /** Another element asks the browser, which asks for one credential at a time: the field's offer makes way. */
  #makeWay() {
    if (this.#listening !== null && this.#isIdle) this.#passkeys.abort();
  }

  /** Whether something can begin now. */
  get #isIdle() {
    return TRANSITIONS[this.#state.status].begun !== undefined;
  }

  /** The page's field for the user name, or ours. */
  get #field() {
    const id = this.getAttribute("for");
    return id === null ? (this.#view.input ?? null) : this.getRootNode().getElementById(id);
  }

  // ── what is shown ──

  #claimed(passkeys, answer) {
    if (passkeys !== this.#passkeys) return;
    this.#step("claimed");
    if (this.#emit("useid-claimed", Object.freeze(answer))) follow(answer.redirectTo);
  }

  #fail(failure) {
    this.#step(failure.code === "cancelled" ? "cancelled" : "failed", { error: failure.summary });
  }

  #step(signal, changes = {}) {
    const status = TRANSITIONS[this.#state.status][signal];
    if (status === undefined) return;
    this.#state = Object.freeze({ ...this.#state, error: null, doing: null, notice: null, ...changes, status });
    this.#announce();
  }

  #announce() {
    this.#render();
    this.#emit("useid-state", this.#state);
  }

  /** Tell the page; false when it prevents what would come next. */
  #emit(name, detail) {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: true }));
  }

  #build(mode) {
    const view = (this.#view = {
      mode,
      title: h("h2", { class: "title", id: "title", part: "title" }),
      lead: h("p", { class: "lead" }),
      headline: h("strong", { class: "headline" }),
      detail: h("span", { class: "detail" }),
      failHeadline: h("strong", { class: "headline" }),
      failDetail: h("span", { class: "detail" }),
      button: h("button", { class: "button", part: "button", type: "submit" }),
    });
    const fields = [];
    if (mode === "login") {
      view.label = h("label", { for: "username" });
      view.input = h("input", {
        class: "field", id: "username", part: "field", type: "text", name: "username", autocomplete: "username webauthn",
        autocapitalize: "none", spellcheck: false, "aria-describedby": "username-hint",
      });
      view.hint = h("p", { class: "fine", id: "username-hint" });
      fields.push(view.label, view.input, view.hint);
    }
    if (mode === "manage") {
      view.list = new PasskeyList({ rename: (id, name) => this.#rename(id, name), remove: (id) => this.#remove(id) });
    }
    view.form = h("form", { class: "passkey-form", noValidate: true }, ...fields, view.button);
    view.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#act();
    });
    view.card = h(
      "section", { class: "card", part: "card", "aria-labelledby": "title", tabindex: "-1", "data-mode": mode },
      ...(mode === "step-up" ? [h("div", { class: "mark large" }, icon("passkey"))] : []),
      view.title, view.lead, ...(view.list ? [view.list.element] : []),
      h(
        "div", { class: "messages" },
        h("div", { class: "message", role: "status" }, view.headline, view.detail),
        h("div", { class: "message failure", role: "alert" }, view.failHeadline, view.failDetail),
      ),
      view.form,
    );
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    const styles = [STYLE, OWN_STYLE].map((href) => h("link", { rel: "stylesheet", href }));
    root.replaceChildren(...styles, view.card);
    // Unstyled parts would jump into place, so the card waits for its styles; without them it appears nevertheless.
    view.card.hidden = true;
    let missing = styles.length;
    const appear = () => {
      missing -= 1;
      view.card.hidden = missing > 0;
    };
    for (const style of styles) {
      style.addEventListener("load", appear);
      style.addEventListener("error", appear);
    }
  }

  #render() {
    const view = this.#view;
    const { mode, status, error, passkeys } = this.#state;
    const language = languageOf(this, LOCALES);
    const all = LOCALES[language];
    const text = { ...all.passkey[mode], waitSeconds: all.waitSeconds, errors: { ...all.errors, ...all.passkey.errors } };
    const busy = status === "busy";
    const [headline, detail] = wording(all.passkey, text, this.#state);
    const [failHeadline, failDetail] = error ? explain(text, error) : ["", ""];

    view.card.lang = language;
    view.card.dataset.status = status;
    view.card.setAttribute("aria-busy", String(busy || status === "loading"));
    say(view.title, text.title);
    say(view.lead, text.lead);
    say(view.headline, headline);
    say(view.detail, detail);
    say(view.failHeadline, failHeadline);
    say(view.failDetail, failDetail);
    say(view.button, this.#label(all, text));
    view.button.setAttribute("aria-disabled", String(busy || status === "loading"));
    view.lead.hidden = ["approved", "unsupported"].includes(status);
    view.form.hidden = status === "approved" || isUnable(this.#state);
    if (mode === "login") {
      say(view.label, text.username);
      say(view.hint, text.usernameHint);
      view.label.hidden = view.input.hidden = view.hint.hidden = this.hasAttribute("for");
    }
    view.list?.render({ passkeys, text, language, busy });
  }

  #label(all, text) {
    const { status, doing, mode, passkeys } = this.#state;
    if (doing === "asking") return all.passkey.waiting;
    const again = ["cancelled", "error"].includes(status) && (mode !== "manage" || passkeys === null);
    return again ? all.retry : text.start;
  }
}

/** Whether the browser is the obstacle. Without it a list can still be looked through, and things on it deleted. */
const isUnable = ({ status, mode, passkeys, canCreate }) =>
  status === "unsupported" || (mode === "manage" && passkeys !== null && !canCreate);

/** Headline and explanation of a state that is no failure. */
function wording(all, text, state) {
  const { status, doing, notice } = state;
  if (doing !== null) return all.doing[doing];
  if (status === "approved") return text.approved;
  if (notice !== null) return text.notices[notice];
  if (isUnable(state)) return window.isSecureContext ? all.unsupported : all.insecure;
  return ["", ""];
}

/** A new passkey. A further one needs a session that has stepped up: then by one that there is, first. */
async function registered(passkeys) {
  try {
    return await passkeys.register();
  } catch (failure) {
    if (failure.code !== "level_required") throw failure;
    await passkeys.stepUp();
    return passkeys.register();
  }
}

if (!customElements.get("useid-passkey")) customElements.define("useid-passkey", UseIDPasskey);
