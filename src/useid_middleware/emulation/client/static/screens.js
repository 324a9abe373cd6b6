// The phone's screens: fills the page's elements with text, never with markup. Decides nothing and sends nothing.

import { ask, focusPad } from "./pinpad.js";
import { rightName } from "./rights.js";
import { fill, shown, textsFor } from "./texts.js";

export const { language, locale, texts } = textsFor(navigator.languages);
const element = (id) => document.getElementById(id);

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
  element("busy").textContent = "";
  for (const screen of document.querySelectorAll("[data-screen]")) screen.hidden = screen.dataset.screen !== name;
  element("screen").scrollTop = 0;
  document.querySelector(`[data-screen="${name}"] h1`).focus({ preventScroll: true });
}

/** While a call is under way, its buttons are off and the status says so. */
export function setBusy(busy) {
  element("screen").setAttribute("aria-busy", String(busy));
  element("busy").textContent = busy ? texts.busy : "";
  for (const button of document.querySelectorAll("main button")) button.disabled = busy;
}

/** A short note in the status region. */
export function note(text) {
  element("busy").textContent = text;
}

/** The faults that a card can have. */
export function fillFaults(faults) {
  const none = new Option(texts.noFault, "");
  element("fault").replaceChildren(none, ...faults.map(({ name }) => new Option(name, name)));
}

/** The cards to choose from; `own` is the name of a file with another one. */
export function fillCards(cards, chosen, own) {
  const options = cards.map(({ name, title }) => new Option(shown(title), name, false, name === chosen));
  if (own) options.push(new Option(fill(texts.fileCard, { name: shown(own) }), "", false, chosen === ""));
  element("card").replaceChildren(...options);
}

/** The chosen card as a picture, with its letter and what has become of it; `null` for one in a file. */
export function showCard(card) {
  const values = card ?? { holder: "—", expiry: "", pin: "—", can: "—", puk: "—", status: "own" };
  for (const target of document.querySelectorAll("[data-card]")) {
    const value = values[target.dataset.card];
    target.textContent = target.dataset.card === "expiry" ? localDate(value) : shown(value);
  }
  element("home-card").dataset.status = values.status;
  element("card-status").textContent = texts.status[values.status] ?? "";
}

/** Home: with a link for the client that has come already, or with the field for one. */
export function showHome(link, { isReady, appUrl }) {
  const [title, hint, button] = isReady ? ["linkReadyTitle", "linkReadyHint", "linkReadyButton"] : ["linkTitle", "linkHint", "linkButton"];
  element("link-title").textContent = texts[title];
  element("link-hint").textContent = texts[hint];
  element("open").textContent = texts[button];
  element("link-field").hidden = isReady;
  element("link").value = link;
  element("app").hidden = !appUrl || Boolean(link);
  if (appUrl) element("app").href = appUrl;
  show("home");
}

/** What is asked for, and by whom. What is optional is ticked, as stock clients have it, and can be taken away. */
export function showRequest(request) {
  element("subject-name").textContent = shown(request.subjectName);
  element("subject-url").textContent = shown(request.subjectUrl);
  element("transaction").textContent = shown(request.transactionInfo);
  const name = (right) => rightName(language, right, request);
  const required = request.required.map((right) => create("li", { textContent: name(right) }));
  element("required").replaceChildren(...(required.length ? required : [create("li", { className: "none", textContent: texts.requiredNothing })]));
  element("optional-set").hidden = request.optional.length === 0;
  element("optional").replaceChildren(
    ...request.optional.map((right) => {
      const box = create("input", { type: "checkbox", name: right, checked: true });
      return create("label", { className: "choice" }, [box, create("span", { textContent: name(right) })]);
    }),
  );
  const dates = { from: localDate(request.validFrom), to: localDate(request.validTo) };
  const rows = [
    [texts.subject, request.subjectName],
    [texts.subjectUrl, request.subjectUrl],
    [texts.issuer, request.issuerName],
    [texts.issuerUrl, request.issuerUrl],
    [texts.validity, fill(texts.validityRange, dates)],
    [texts.bornBy, localDate(request.bornBy)],
  ].filter(([, value]) => value);
  element("facts").replaceChildren(
    ...rows.map(([term, value]) =>
      create("div", {}, [create("dt", { textContent: term }), create("dd", {}, [create("bdi", { textContent: shown(value) })])]),
    ),
  );
  element("terms").textContent = shown(request.termsOfUsage) || texts.termsNone;
  show("confirm");
}

/** The optional rights that are ticked. */
export function grantedRights() {
  return [...element("optional").querySelectorAll("input:checked")].map(({ name }) => name);
}

/** Ask for the card. */
export function showHold(cardTitle) {
  element("hold-card").textContent = fill(texts.holdCard, { card: shown(cardTitle) });
  show("hold");
}

/** Ask for a password. */
export function showPassword({ kind, digits, triesLeft, isRepeated, isEnough }) {
  const { title, name, hint } = texts.passwords[kind === "can" && isEnough ? "can_only" : kind];
  element("password-title").textContent = title;
  element("digits-label").textContent = fill(name, { digits });
  element("password-hint").textContent = fill(hint, { digits });
  ask(digits);
  show("password");
  const tries = triesLeft === null ? "" : triesLeft === 1 ? texts.triesLeft.one : fill(texts.triesLeft.other, { count: triesLeft });
  // Before the last try the CAN was right; what was wrong is two questions ago.
  const words = [isRepeated && triesLeft !== 1 ? texts.wrong : "", triesLeft < 3 ? tries : ""].filter(Boolean);
  element("password-alert").textContent = words.join(" ");
  focusPad();
}

/** Some digits are missing. */
export function tellIncomplete({ digits }) {
  element("password-alert").textContent = fill(texts.incomplete, { digits });
  focusPad();
}

/** What was said about the last password no longer holds. */
export function tellNothing() {
  element("password-alert").textContent = "";
}

/** The card is being read; shown once, and then counted. */
export function showReading(commands) {
  if (current() !== "reading") show("reading");
  element("commands").textContent = fill(texts.readingCount, { count: commands });
}

/** Ask whether a passkey is to be made, for this site and account. */
export function showPasskey({ site, account }) {
  element("passkey-site").textContent = shown(site);
  element("passkey-account").textContent = shown(account);
  show("passkey");
}

/** How it ended, and where it goes on. `isRead`: the card had been read before. */
export function showOutcome({ code, message, address, isSealed, isBound }, { isRead = false } = {}) {
  const outcome = nameOf({ code, isSealed, isBound, isRead });
  element("ended-glyph").className = `glyph glyph-${{ cancelled: "stop", dropped: "stop", failed: "fail" }[outcome] ?? "done"}`;
  element("ended-title").textContent = texts[`${outcome}Title`];
  element("ended-text").textContent = outcome === "failed" ? (texts.errors[code] ?? texts.errors.other) : texts[`${outcome}Text`];
  element("ended-code").hidden = outcome !== "failed";
  element("error-code").textContent = shown(code);
  element("ended-detail").textContent = outcome === "failed" ? shown(message) : "";
  element("back").hidden = !address || isSealed;
  if (address) element("back").href = address;
  else element("back").removeAttribute("href");
  show("ended");
}

function nameOf({ code, isSealed, isBound, isRead }) {
  if (code === "cancelled") return isRead ? "dropped" : "cancelled";
  if (code) return "failed";
  return isBound ? "bound" : isSealed ? "sealed" : "done";
}

function localDate(text) {
  if (!text) return "";
  const date = new Date(`${text}T12:00:00Z`);
  // An unreadable date is shown as it came.
  return Number.isNaN(date.getTime()) ? text : date.toLocaleDateString(locale, { dateStyle: "medium", timeZone: "UTC" });
}

function create(name, properties, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
