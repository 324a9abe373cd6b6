// The emulated phone as a page: link in, screens through, decision out. A link comes from the input, from the QR code of the
// other window (a BroadcastChannel message `{qrData}`), or from the address (`#link=…`, percent-encoded).

import { decide, enrol, scan } from "./client.js";
import { forgetKey, keepKey, listKeys } from "./keystore.js";
import { PhoneError, newKeyPair, parseLink } from "./protocol.js";
import * as screens from "./screens.js";

const metaContent = (name) => document.querySelector(`meta[name="${name}"]`).content;
const app = { scheme: metaContent("useid-scheme"), universalLink: metaContent("useid-universal-link") };

/** What the present screen is about: `{link}` when enrolling, `{link, key, request}` when deciding. */
let pending = null;
let busy = false;

/** Run one step. A second one never starts meanwhile, and every failure ends on the error screen. */
async function run(step) {
  if (busy) return;
  busy = true;
  screens.setBusy(true);
  let finish;
  try {
    finish = await step();
  } catch (error) {
    pending = null;
    const known = error instanceof PhoneError ? error : new PhoneError("unexpected", String(error));
    finish = () => screens.showError(known);
  }
  busy = false;
  screens.setBusy(false);
  finish?.();
}

async function home() {
  pending = null;
  const keys = await listKeys();
  return () => screens.showHome(keys, { remove });
}

function remove(key) {
  run(async () => {
    await forgetKey(key);
    const finish = await home();
    return () => {
      finish();
      screens.note("removed");
    };
  });
}

/** A link was scanned: check it, and the trust in its server, before anything is sent or shown. */
async function open(text) {
  const link = parseLink(text.trim(), app);
  if (link.type === "enrol") {
    pending = { link };
    return () => screens.showEnrolment(link);
  }
  const keys = (await listKeys()).filter((key) => key.server === link.server);
  if (keys.length === 0) throw new PhoneError("server_untrusted", link.server);
  if (keys.length === 1) return ask(link, keys[0]);
  return () => screens.showChoice(keys, (key) => run(() => ask(link, key)));
}

async function ask(link, key) {
  const request = await scan(link, key);
  pending = { link, key, request };
  return () => screens.showRequest(link, key, request, () => run(() => Promise.reject(new PhoneError("session_expired"))));
}

async function answer(decision) {
  const { link, key, request } = pending;
  const code = await decide(decision, link, key, request.context);
  pending = null;
  return decision === "approve" ? () => screens.showApproved(code) : screens.showRejected;
}

async function add(label) {
  if (label.length < 1 || label.length > 60) throw new PhoneError("label_invalid");
  const { key, code } = await enrol(pending.link, await newKeyPair(), label);
  await keepKey(key);
  pending = null;
  return () => screens.showEnrolled(key, code);
}

function openFromAddress() {
  const match = /^#link=(.+)$/.exec(location.hash);
  if (!match) return false;
  // The link is used once; it must not come back with a reload.
  history.replaceState(null, "", location.pathname + location.search);
  run(() => open(decode(match[1])));
  return true;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new PhoneError("link_refused", "expected percent-encoded text");
  }
}

function onSubmit(id, step) {
  const form = document.getElementById(id);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(step);
  });
}

screens.prepare();
onSubmit("scan-form", () => open(document.getElementById("link").value));
onSubmit("enrol-form", () => add(document.getElementById("label").value.trim()));
document.getElementById("approve").addEventListener("click", () => run(() => answer("approve")));
document.getElementById("reject").addEventListener("click", () => run(() => answer("reject")));
for (const button of document.querySelectorAll('[data-go="home"]')) button.addEventListener("click", () => run(home));
addEventListener("hashchange", openFromAddress);

new BroadcastChannel("useid-demo-phone").addEventListener("message", ({ data }) => {
  // A request under the user's eyes is not replaced by another window's click.
  if (typeof data?.qrData === "string" && !["request", "enrol"].includes(screens.current())) run(() => open(data.qrData));
});

if (!openFromAddress()) run(home);
