// The phone's window for a browser nearby that asks for a passkey: the emulated hybrid transport. The page that opened it
// sends `useid:authenticate` once it has heard `useid:ready`, and gets `useid:credential` back. Who asks is the origin
// that the browser gives the message, whatever the message says. A window that is closed says nothing: the page sees it.

import { windowTexts } from "./authenticator-texts.js";
import { CallError, call } from "./calls.js";
import * as screens from "./screens.js";
import { fill, shown } from "./texts.js";

const element = (id) => document.getElementById(id);
const texts = windowTexts(screens.language);
const { opener } = window;

/** What is asked: `{id, origin, topOrigin, options}`; null before and afterwards. */
let asked = null;

/** Answer the page, once. */
function reply(answer) {
  if (!asked) return;
  const { id, origin } = asked;
  asked = null;
  opener.postMessage({ type: "useid:credential", id, ...answer }, origin);
}

function refuse() {
  reply({ error: "NotAllowedError" });
}

/** Show how it ended. After a failure the page hears of it when the person has read why: it closes this window then. */
function end(code = "") {
  element("ended-glyph").className = `glyph glyph-${code ? "fail" : "done"}`;
  element("ended-title").textContent = code ? texts.failedTitle : texts.doneTitle;
  element("ended-text").textContent = code ? (texts.errors[code] ?? texts.errors.other) : texts.doneText;
  element("ended-code").hidden = !code;
  element("error-code").textContent = shown(code);
  screens.show("ended");
}

/** Ask the phone's own program about what the page asks; its failures end on the last screen. */
async function ask(path, then) {
  const ours = asked;
  screens.setBusy(true);
  let finish;
  try {
    const { origin, topOrigin, options } = ours;
    const answer = await call("POST", path, { origin, topOrigin, options });
    finish = () => then(answer);
  } catch (error) {
    finish = () => end(error instanceof CallError ? error.code : "unexpected");
  }
  screens.setBusy(false);
  // The page may have asked anew meanwhile, or this window be about to close.
  if (asked === ours) finish();
}

function show({ site, account }) {
  const { origin, topOrigin } = asked;
  const asker = topOrigin ? fill(texts.inside, { origin, topOrigin }) : origin;
  for (const [id, value] of Object.entries({ asker, site, account })) element(id).textContent = shown(value);
  screens.show("ask");
}

function sign() {
  ask("authenticator", (credential) => {
    reply({ credential });
    end();
    window.close();
  });
}

function hear({ source, origin, data }) {
  // A page without an origin of its own could not be answered alone.
  if (source !== opener || origin === "null") return;
  if (data?.type !== "useid:authenticate" || typeof data.id !== "string") return;
  refuse();
  // Only where the page is framed by another one does it say so, and only it can: no browser vouches for this.
  asked = { id: data.id, origin, topOrigin: data.topOrigin ?? "", options: data.options };
  ask("authenticator/account", show);
}

screens.prepare();
for (const target of document.querySelectorAll("[data-window]")) target.textContent = texts[target.dataset.window];
element("agree").addEventListener("click", sign);
for (const id of ["cancel", "close"]) {
  element(id).addEventListener("click", () => {
    refuse();
    window.close();
  });
}
if (opener) {
  addEventListener("message", hear);
  // To whoever it is: this says nothing, and what is asked afterwards comes with its origin.
  opener.postMessage({ type: "useid:ready" }, "*");
} else {
  end("not_asked");
}
