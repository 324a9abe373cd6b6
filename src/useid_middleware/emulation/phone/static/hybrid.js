/**
 * The hybrid transport without Bluetooth, for demos by hand: requests for a passkey whose hints say `hybrid` go to an
 * emulated phone, all others to the browser, and so do those that no emulated phone answers.
 *
 * The phone is a page of the same origin, asked over a BroadcastChannel; or, where the page names one in
 * `<meta name="useid-demo-authenticator" content="…">`, a window of that address, asked by `postMessage`. Either is told
 * `{type: "useid:authenticate", id, origin, topOrigin?, options}` and says `{type: "useid:credential", id, credential}`, or
 * `error` in its place. What a browser vouches for, such as the origin, this script says: a real page could lie, so
 * servers that are not demos must not take this model of authenticator.
 */

import { b64url, unB64url } from "./protocol.js";

const CHANNEL = "useid-demo-phone";
/** Milliseconds for a phone of the same origin to say that it is here. */
const PATIENCE = 300;
const WINDOW_NAME = "useid-demo-authenticator";
const WINDOW_FEATURES = "popup,width=480,height=920";
/** Milliseconds between two looks at whether the window was closed. */
const LOOK = 300;

const { credentials } = navigator;
// There is none outside a secure context.
if (credentials) {
  const native = credentials.get.bind(credentials);
  credentials.get = (request) => (isForPhone(request) ? ask(request, native) : native(request));
  console.info("useid demo: passkeys of a phone nearby are asked of an EMULATED phone (hybrid.js). Not for production.");
}

/** Whether nothing but a phone will do; where the browser's own passkeys are as welcome, it is asked. */
function isForPhone({ publicKey, mediation } = {}) {
  const { hints } = publicKey ?? {};
  return Array.isArray(hints) && hints.length === 1 && hints[0] === "hybrid" && mediation !== "conditional";
}

/** As `navigator.credentials.get`, of whichever phone answers. */
async function ask(request, native) {
  const { publicKey, signal } = request;
  signal?.throwIfAborted();
  const { timeout, ...options } = publicKey;
  const done = new AbortController();
  const limits = [done.signal, signal, timeout && AbortSignal.timeout(timeout)];
  const end = AbortSignal.any(limits.filter(Boolean));
  const message = { type: "useid:authenticate", id: crypto.randomUUID(), origin: location.origin, options: asJson(options) };
  if (topOrigin() !== location.origin) message.topOrigin = topOrigin();
  const channel = new BroadcastChannel(CHANNEL);
  try {
    const meta = document.querySelector('meta[name="useid-demo-authenticator"]');
    const answer = (await askSameOrigin(channel, message, end)) ?? (meta && (await askWindow(meta.content, message, end)));
    return answer ? asCredential(answer) : await native(request);
  } catch (error) {
    throw end.aborted && !signal?.aborted ? refused("nobody answered in time") : error;
  } finally {
    channel.postMessage({ type: "useid:over", id: message.id });
    channel.close();
    done.abort();
  }
}

/** The answer of a phone of the same origin; null if there is none. */
async function askSameOrigin(channel, message, end) {
  const answer = waitFor(channel, ({ data }) => answerIn(data, message), end);
  const patience = AbortSignal.any([end, AbortSignal.timeout(PATIENCE)]);
  const here = waitFor(channel, ({ data }) => data?.type === "useid:here" && data.id === message.id, patience);
  channel.postMessage(message);
  const isHere = await here.catch(() => false);
  end.throwIfAborted();
  return isHere ? answer : null;
}

/** The answer of the phone in a window of its own. */
async function askWindow(address, message, end) {
  const { origin } = new URL(address, location.href);
  const phone = open(address, WINDOW_NAME, WINDOW_FEATURES);
  if (!phone) throw refused("the browser does not let this page open a window");
  const answer = waitFor(
    window,
    ({ source, origin: sender, data }) => {
      if (source !== phone || sender !== origin) return null;
      // It says so again after a reload.
      if (data?.type === "useid:ready") phone.postMessage(message, origin);
      return answerIn(data, message);
    },
    end,
  );
  try {
    return await Promise.race([answer, closing(phone, end)]);
  } finally {
    phone.close();
  }
}

/** Rejects once the window is closed. */
function closing(phone, end) {
  return new Promise((_, reject) => {
    let wasClosed = false;
    const look = setInterval(() => {
      // Not at once: the answer may be under way still.
      if (wasClosed) reject(refused("the phone's window was closed"));
      wasClosed = phone.closed;
    }, LOOK);
    end.addEventListener("abort", () => clearInterval(look), { once: true });
  });
}

/** The first thing that `read` makes of a message; rejects when `end` comes first. */
function waitFor(target, read, end) {
  const found = new Promise((resolve, reject) => {
    end.addEventListener("abort", () => reject(end.reason), { once: true });
    const listen = (event) => {
      const made = read(event);
      if (made) resolve(made);
    };
    target.addEventListener("message", listen, { signal: end });
  });
  // Who waits hears of it; nobody waits for the one that lost a race.
  found.catch(() => {});
  return found;
}

function answerIn(data, { id }) {
  return data?.type === "useid:credential" && data.id === id ? data : null;
}

/** What callers need of a `PublicKeyCredential`. */
function asCredential({ credential, error }) {
  if (!credential) throw new DOMException("the emulated phone gave no passkey", String(error));
  const { id, type, clientExtensionResults } = credential;
  return {
    id,
    rawId: unB64url(id, Math.floor((id.length * 3) / 4)).buffer,
    type,
    authenticatorAttachment: "cross-platform",
    getClientExtensionResults: () => structuredClone(clientExtensionResults),
    toJSON: () => structuredClone(credential),
  };
}

/** Options as JSON: bytes become base64url. */
function asJson(value) {
  if (ArrayBuffer.isView(value)) return b64url(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  if (value instanceof ArrayBuffer) return b64url(new Uint8Array(value));
  if (Array.isArray(value)) return value.map(asJson);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => member !== undefined && member !== null);
  return Object.fromEntries(members.map(([name, member]) => [name, asJson(member)]));
}

/** The origin of the page in the address bar, where the browser says so. */
function topOrigin() {
  const { ancestorOrigins = [] } = location;
  return ancestorOrigins.length ? ancestorOrigins[ancestorOrigins.length - 1] : location.origin;
}

function refused(message) {
  return new DOMException(message, "NotAllowedError");
}
