// The phone's screens: fills the page's elements with text, never with markup. Decides nothing and sends nothing.

import { b64url } from "./protocol.js";
import { fill, shown, textsFor } from "./texts.js";

const { language, locale, texts } = textsFor(navigator.languages);
const element = (id) => document.getElementById(id);
let countdown = 0;

/** Put the page into the user's language, and start the clock of the status bar. */
export function prepare() {
  document.documentElement.lang = language;
  for (const target of document.querySelectorAll("[data-text]")) target.textContent = texts[target.dataset.text];
  const tell = () => {
    element("clock").textContent = new Date().toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" });
  };
  tell();
  setInterval(tell, 10_000);
}

/** The screen that is on show. */
export function current() {
  return document.querySelector("[data-screen]:not([hidden])").dataset.screen;
}

/** Show one screen. Its heading takes the focus, so that a screen reader says where the user is. */
export function show(name) {
  clearInterval(countdown);
  // A link is used once. Home itself leaves the field alone: somebody may be pasting already while it loads.
  if (name !== "home") element("link").value = "";
  for (const screen of document.querySelectorAll("[data-screen]")) screen.hidden = screen.dataset.screen !== name;
  element("screen").scrollTop = 0;
  element("alert").textContent = "";
  document.querySelector(`[data-screen="${name}"] h1`).focus({ preventScroll: true });
}

/** While a step runs, its buttons are off and the status says so. */
export function setBusy(busy) {
  element("screen").setAttribute("aria-busy", String(busy));
  element("busy").textContent = busy ? texts.busy : "";
  for (const button of document.querySelectorAll("button")) button.disabled = busy;
}

/** A short note in the status region. */
export function note(name) {
  element("busy").textContent = texts[name];
}

/** Home: the enrolled keys and the passkeys, each with a way to remove it. */
export function showHome(keys, passkeys, { removeKey, removePasskey }) {
  element("home-empty").hidden = keys.length > 0;
  element("keys").replaceChildren(...keys.map((key) => keyCard(key, removeKey)));
  element("passkeys-title").hidden = passkeys.length === 0;
  const newest = passkeys.toSorted((one, other) => other.createdAt - one.createdAt);
  element("passkeys").replaceChildren(...newest.map((passkey) => passkeyCard(passkey, removePasskey)));
  show("home");
}

function keyCard(key, remove) {
  const names = { username: shown(key.username), appName: shown(key.appName) };
  const words = { label: fill(texts.removeName, names), question: fill(texts.removeQuestion, names) };
  return card([names.appName, names.username, shown(key.server)], words, () => remove(key));
}

function passkeyCard(passkey, remove) {
  const time = localTime(passkey.createdAt);
  const names = { username: shown(passkey.userName), rpId: shown(passkey.rpId), time };
  const words = { label: fill(texts.removePasskey, names), question: fill(texts.removePasskeyQuestion, names) };
  return card([names.rpId, names.username, time], words, () => remove(passkey));
}

function card([title, line, small], { label, question }, remove) {
  const button = create("button", { type: "button", className: "quiet small", textContent: texts.remove });
  button.setAttribute("aria-label", label);
  button.addEventListener("click", () => {
    if (confirm(question)) remove();
  });
  const words = create("div", {}, [
    create("strong", {}, [create("bdi", { textContent: title })]),
    create("span", {}, [create("bdi", { textContent: line })]),
    create("small", {}, [create("bdi", { textContent: small })]),
  ]);
  return create("li", {}, [create("span", { className: "avatar", ariaHidden: "true", textContent: [...title][0] ?? "" }), words, button]);
}

/** Several accounts of one server: which one answers? */
export function showChoice(keys, choose) {
  element("accounts").replaceChildren(
    ...keys.map((key) => {
      const names = { username: shown(key.username), appName: shown(key.appName) };
      const button = create("button", { type: "button", className: "choice", textContent: fill(texts.keysOf, names) });
      button.addEventListener("click", () => choose(key));
      return create("li", {}, [button]);
    }),
  );
  show("choose");
}

/** Enrolment: whom does the user trust? */
export function showEnrolment(link) {
  element("enrol-server").textContent = shown(link.server);
  element("label").value = texts.labelDefault;
  show("enrol");
}

/** The request with all that is known of it; `expired` is called when its time is over. */
export function showRequest(link, key, { context, expiresIn, binding }, expired) {
  const place = [context.city, context.ip].filter(Boolean).join(", ") || texts.unknown;
  const rows = [
    [texts.app, context.appName],
    [texts.origin, context.origin],
    [texts.account, key.username],
    [texts.place, place],
    [texts.browser, context.browser || texts.unknown],
    [texts.time, localTime(context.requestedAt)],
    [texts.session, b64url(link.id), "id"],
  ];
  element("request-intro").textContent = fill(texts.requestIntro, { appName: shown(context.appName) });
  element("request-binding").hidden = !binding;
  showDetails("request-details", rows);
  show("request");
  const end = performance.now() + expiresIn * 1000;
  const tick = () => {
    const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    const time = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    element("countdown").textContent = fill(texts.left, { time });
    if (left === 0) {
      clearInterval(countdown);
      expired();
    }
  };
  countdown = setInterval(tick, 1000);
  tick();
}

function showDetails(id, rows) {
  element(id).replaceChildren(
    ...rows.map(([name, value, className = ""]) =>
      create("div", {}, [
        create("dt", { textContent: name }),
        create("dd", { className }, [create("bdi", { textContent: shown(value) })]),
      ]),
    ),
  );
}

/** A bound login was approved: its passkey is to be made. */
export function showCreation({ rpId }) {
  element("create-site").textContent = shown(rpId);
  show("create");
}

/** A computer nearby asks for a passkey: who, and which. */
export function showNearby({ origin, topOrigin }, { userName, rpId }) {
  const frame = topOrigin ? [[texts.within, topOrigin]] : [];
  showDetails("nearby-details", [[texts.origin, origin], ...frame, [texts.account, userName], [texts.passkeyOf, rpId]]);
  show("nearby");
}

function localTime(text) {
  const time = new Date(text);
  // An unreadable time is shown as it came.
  return Number.isNaN(time.getTime()) ? text : time.toLocaleString(locale, { dateStyle: "medium", timeStyle: "medium" });
}

/** The end of an enrolment: the code for the desktop. */
export function showEnrolled(key, code) {
  const names = { username: shown(key.username), appName: shown(key.appName) };
  showResult("key", texts.enrolledTitle, fill(texts.enrolledText, names), code);
}

/** The end of an approval. */
export function showApproved(code) {
  showResult("done", texts.approvedTitle, code ? texts.approvedCodeText : texts.approvedText, code);
}

/** The end of an approval whose passkey is made. */
export function showBound() {
  showResult("done", texts.approvedTitle, texts.boundText, "");
}

/** A passkey was used. */
export function showUsed() {
  showResult("done", texts.usedTitle, texts.usedText, "");
}

/** The end of a rejection. */
export function showRejected() {
  showResult("reject", texts.rejectedTitle, texts.rejectedText, "");
}

function showResult(glyph, title, text, code) {
  element("result-glyph").className = `glyph glyph-${glyph}`;
  element("result-title").textContent = title;
  element("result-text").textContent = text;
  element("result-code-box").hidden = !code;
  element("code").textContent = code && `${code.slice(0, 3)} ${code.slice(3)}`;
  show("result");
}

/** A failure: what it means in the user's language, its stable code, and the developer's detail. */
export function showError({ code, detail }) {
  const known = code.startsWith("authenticator_") ? texts.errors.authenticator : texts.errors.other;
  const text = texts.errors[code] ?? known;
  element("error-text").textContent = text;
  element("error-code").textContent = code;
  element("error-detail").textContent = shown(detail);
  show("error");
  element("alert").textContent = text;
}

function create(name, properties, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
