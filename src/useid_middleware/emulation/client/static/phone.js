// The emulated phone with an ID card: link in, questions through, way back out. The eID client itself runs behind the
// interface; this page is its screen. A link comes from the field or from the address of the page (`link.js`).

import { CallError, call, follow } from "./calls.js";
import { linkInAddress, readLink } from "./link.js";
import { preparePad, takeDigits } from "./pinpad.js";
import * as screens from "./screens.js";

const element = (id) => document.getElementById(id);
const appUrl = document.querySelector('meta[name="useid-app-url"]').content;
const REMEMBERED = "useid-demo-card";

let cards = [];
let faults = [];
/** The user's own card: `{name, text}` of a file, or null. */
let own = null;
/** The dialogue under way: its id, its question, and whether the card is there; or null. */
let dialogue = null;
let busy = false;

/** Run one step. A second one never starts meanwhile, and every failure ends on the last screen. */
async function run(step) {
  if (busy) return;
  busy = true;
  screens.setBusy(true);
  let finish;
  try {
    finish = await step();
  } catch (error) {
    finish = () => fail(error);
  }
  busy = false;
  screens.setBusy(false);
  finish?.();
}

function fail(error) {
  dialogue = null;
  const { code, detail } = error instanceof CallError ? error : new CallError("unexpected", String(error));
  screens.showOutcome({ code, message: detail, address: "", isSealed: false });
}

async function home(link = "") {
  dialogue = null;
  ({ cards, faults } = await call("GET", "cards"));
  const chosen = own ? "" : cards.some(({ name }) => name === remembered()) ? remembered() : cards[0].name;
  return () => {
    screens.fillCards(cards, chosen, own?.name);
    if (element("fault").options.length === 0) screens.fillFaults(faults);
    choose();
    screens.showHome(link, { isReady: Boolean(readLink(link)?.client), appUrl });
  };
}

function remembered() {
  return localStorage.getItem(REMEMBERED) ?? "";
}

function chosenCard() {
  return cards.find(({ name }) => name === element("card").value) ?? null;
}

function choose() {
  const card = chosenCard();
  if (card) localStorage.setItem(REMEMBERED, card.name);
  element("renew").hidden = !card;
  screens.showCard(card);
}

/** A link was opened: an address for the browser leads there, one for the client begins a dialogue. */
async function open(text) {
  const link = readLink(text);
  if (link === null) throw new CallError("link_refused");
  if (link.page) {
    location.assign(link.page);
    return undefined;
  }
  const card = chosenCard();
  const what = card ? { card: card.name } : { cardFile: own.text };
  const { id } = await call("POST", "dialogues", { link: link.client, ...what, fault: element("fault").value });
  dialogue = { id, title: element("card").selectedOptions[0].textContent, question: null, isHeld: false };
  return () => {
    screens.show("connecting");
    watch(dialogue);
  };
}

/** Follow a dialogue to its end; what comes later for one that was left is not shown. */
async function watch(ours) {
  try {
    for await (const view of follow(ours.id)) {
      if (dialogue !== ours) return;
      react(ours, view);
    }
  } catch (error) {
    if (dialogue === ours) fail(error);
  }
}

function react(ours, { stage, request, question, commands, passkey, outcome }) {
  ours.question = question ? { ...question, isEnough: request.required.includes("CAN_ALLOWED") } : null;
  if (stage === "confirm") {
    screens.showRequest(request);
  } else if (stage === "password" && !ours.isHeld) {
    screens.showHold(ours.title);
  } else if (stage === "password") {
    screens.showPassword(ours.question);
  } else if (stage === "reading" && ours.isHeld) {
    screens.showReading(commands);
  } else if (stage === "passkey") {
    screens.showPasskey(passkey);
  } else if (stage === "binding") {
    screens.show("binding");
  } else if (outcome) {
    dialogue = null;
    screens.showOutcome(outcome, { isRead: Boolean(passkey) });
    // As a phone does it: the browser goes on by itself. After a failure there is something to read first.
    if (!outcome.code && !outcome.isSealed) location.assign(outcome.address);
  }
}

function answer(body) {
  const id = dialogue?.id;
  if (id) run(() => call("POST", `dialogues/${id}`, body).then(() => undefined));
}

function onSubmit(id, step) {
  element(id).addEventListener("submit", (event) => {
    event.preventDefault();
    step();
  });
}

function openFromAddress() {
  const link = linkInAddress(location);
  // The link is used once; it must not come back with a reload.
  if (link) history.replaceState(null, "", location.pathname);
  if (dialogue === null) run(() => home(link));
}

screens.prepare();
preparePad(screens.texts, screens.tellNothing);
onSubmit("link-form", () => run(() => open(element("link").value)));
onSubmit("confirm-form", () => answer({ granted: screens.grantedRights() }));
onSubmit("password-form", () => {
  const password = takeDigits();
  if (password) answer({ password });
  else screens.tellIncomplete(dialogue.question);
});
element("hold").addEventListener("click", () => {
  dialogue.isHeld = true;
  screens.showPassword(dialogue.question);
});
element("make-passkey").addEventListener("click", () => answer({ makePasskey: true }));
element("card").addEventListener("change", choose);
element("fault").addEventListener("change", ({ target }) => {
  element("fault-about").textContent = faults.find(({ name }) => name === target.value)?.about ?? "";
});
element("card-file").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  own = file ? { name: file.name, text: await file.text() } : null;
  run(() => home(element("link").value));
});
element("renew").addEventListener("click", () =>
  run(async () => {
    await call("POST", `cards/${chosenCard().name}/renew`);
    const finish = await home(element("link").value);
    return () => {
      finish();
      screens.note(screens.texts.renewed);
    };
  }),
);
for (const button of document.querySelectorAll('[data-do="cancel"]')) {
  button.addEventListener("click", () => answer({ cancel: true }));
}
for (const button of document.querySelectorAll('[data-do="home"]')) button.addEventListener("click", () => run(() => home()));
addEventListener("hashchange", openFromAddress);
openFromAddress();
