// The emulated phone as a page: link in, screens through, decision out. A link comes from the input, from the QR code of the
// other window (a BroadcastChannel message `{qrData}`), or from the address (`#link=…`, percent-encoded). Pages of other
// windows ask for passkeys over the same channel.

import { makePasskey } from "./binding.js";
import { decide, enrol, openAccount, register, scan } from "./client.js";
import { forgetCredential, listCredentials } from "./credentials.js";
import { forgetKey, keepKey, listKeys } from "./keystore.js";
import { decline, readRequest, useCredential } from "./nearby.js";
import { PhoneError, newKeyPair, parseLink } from "./protocol.js";
import * as screens from "./screens.js";

const metaContent = (name) => document.querySelector(`meta[name="${name}"]`).content;
const app = { scheme: metaContent("useid-scheme"), universalLink: metaContent("useid-universal-link") };

const channel = new BroadcastChannel("useid-demo-phone");

/**
 * What the present screen is about: `{link}` when enrolling, `{link, key, request}` when deciding, with `account`
 * when a passkey is to be made, `{nearby, account}` when one is to be used. Nothing replaces it but its own end.
 */
let pending = null;
let busy = false;
let step = Promise.resolve();

/** Run one step. A second one never starts meanwhile, and every failure ends on the error screen. */
function run(work) {
  if (!busy) step = runAlone(work);
}

async function runAlone(work) {
  busy = true;
  screens.setBusy(true);
  let finish;
  try {
    finish = await work();
  } catch (error) {
    drop();
    const known = error instanceof PhoneError ? error : new PhoneError("unexpected", String(error));
    finish = () => screens.showError(known);
  }
  busy = false;
  screens.setBusy(false);
  finish?.();
}

/** Nothing is asked any more. A computer that waits for a passkey hears of it. */
function drop() {
  if (pending?.nearby) channel.postMessage(decline(pending.nearby));
  pending = null;
}

async function home() {
  drop();
  const [keys, passkeys] = [await listKeys(), await listCredentials()];
  return () => screens.showHome(keys, passkeys, { removeKey, removePasskey });
}

function removeKey(key) {
  remove(() => forgetKey(key), "removed");
}

function removePasskey({ id }) {
  remove(() => forgetCredential(id), "passkeyRemoved");
}

function remove(forget, said) {
  run(async () => {
    await forget();
    const finish = await home();
    return () => {
      finish();
      screens.note(said);
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
  const { code, end } = await decide(decision, link, key, request);
  pending = null;
  if (!end) return decision === "approve" ? () => screens.showApproved(code) : screens.showRejected;
  const account = await openAccount(end);
  pending = { link, key, request, account };
  return () => screens.showCreation(account);
}

/** The login was approved and is bound: make its passkey, keep it, and tell the server. */
async function create() {
  const { account } = pending;
  const passkey = await makePasskey(account);
  try {
    await register(account, passkey);
  } catch (error) {
    // A server that refuses has no use for it; of one that does not answer, nobody knows.
    if (error.status < 500) await forgetCredential(passkey.id);
    throw error;
  }
  pending = null;
  return screens.showBound;
}

/** A computer nearby asks. What is under the user's eyes is not replaced; a step that is under way ends first. */
async function hear(message) {
  const nearby = await readRequest(message);
  while (nearby && busy) await step;
  if (!nearby || pending) return;
  channel.postMessage({ type: "useid:here", id: nearby.id });
  const show = (account) => {
    pending = { nearby, account };
    screens.showNearby(nearby, account);
  };
  const [account, ...others] = nearby.accounts;
  pending = { nearby, account };
  if (others.length) screens.showChoice(nearby.accounts.map(choice), ({ account: chosen }) => show(chosen));
  else show(account);
}

function choice(account) {
  return { username: account.userName, appName: account.rpId, account };
}

async function use() {
  channel.postMessage(await useCredential(pending.nearby, pending.account));
  pending = null;
  return screens.showUsed;
}

/** The computer does not wait any more. */
function forgo(id) {
  if (busy || pending?.nearby?.id !== id) return;
  pending = null;
  run(home);
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
document.getElementById("create").addEventListener("click", () => run(create));
// Who approved and makes no passkey has changed their mind.
document.getElementById("create-none").addEventListener("click", () => run(() => answer("reject")));
document.getElementById("use").addEventListener("click", () => run(use));
for (const button of document.querySelectorAll('[data-go="home"]')) button.addEventListener("click", () => run(home));
addEventListener("hashchange", openFromAddress);

addEventListener("pagehide", drop);

channel.addEventListener("message", (message) => {
  const { data } = message;
  // A request under the user's eyes is not replaced by another window's click.
  if (typeof data?.qrData === "string" && !pending) run(() => open(data.qrData));
  else if (data?.type === "useid:over") forgo(data.id);
  else hear(message);
});

if (!openFromAddress()) run(home);
