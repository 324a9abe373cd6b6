// The protocol of the device switch as a phone speaks it, written from docs/reference/device-switch.md alone: base64url,
// links, the signed bytes, Ed25519 by WebCrypto. No DOM and no network here; the Python side checks it by the test vectors.

export const MAX_LINK = 300;

/** An error with the stable code of the reference or of this phone; `detail` is for developers, `status` the server's. */
export class PhoneError extends Error {
  constructor(code, detail = "", { retryAfter, status } = {}) {
    super(detail ? `${code}: ${detail}` : code);
    this.code = code;
    this.detail = detail;
    this.retryAfter = retryAfter;
    this.status = status;
  }
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Base64url without padding (RFC 4648 §5). */
export function b64url(bytes) {
  let text = "";
  for (let index = 0; index < bytes.length; index += 3) {
    const group = (bytes[index] << 16) | ((bytes[index + 1] ?? 0) << 8) | (bytes[index + 2] ?? 0);
    const digits = Math.min(bytes.length - index, 3) + 1;
    for (let digit = 0; digit < digits; digit += 1) text += ALPHABET[(group >> (18 - 6 * digit)) & 63];
  }
  return text;
}

/** Exactly `size` bytes from canonical base64url; `malformed_request` for every other spelling. */
export function unB64url(text, size) {
  const refuse = () => new PhoneError("malformed_request", `expected ${size} bytes of base64url`);
  if (typeof text !== "string" || text.length !== Math.ceil((size * 4) / 3)) throw refuse();
  const bytes = new Uint8Array(size);
  let bits = 0;
  let held = 0;
  let written = 0;
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0) throw refuse();
    held = ((held << 6) | digit) & 0xfff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[written] = (held >> bits) & 0xff;
      written += 1;
    }
  }
  // The bits that no byte uses must be zero, or two spellings would mean the same bytes.
  if (written !== size || (held & ((1 << bits) - 1)) !== 0) throw refuse();
  return bytes;
}

/** UTF-8 of well-formed text: a lone surrogate has no bytes that could be signed. */
export function utf8(text) {
  if (typeof text !== "string" || !text.isWellFormed()) throw new PhoneError("answer_invalid", "expected well-formed text");
  return new TextEncoder().encode(text);
}

/** `frame(context, f1 … fn)`: the context string, a zero byte, each field behind its two-byte big-endian length. */
export function framed(context, ...fields) {
  const head = utf8(context);
  const bytes = new Uint8Array(head.length + 1 + fields.reduce((sum, field) => sum + 2 + field.length, 0));
  bytes.set(head);
  let offset = head.length + 1;
  for (const field of fields) {
    if (field.length > 0xffff) throw new PhoneError("answer_invalid", "a field is longer than 65535 bytes");
    bytes[offset] = field.length >> 8;
    bytes[offset + 1] = field.length & 0xff;
    bytes.set(field, offset + 2);
    offset += 2 + field.length;
  }
  return bytes;
}

/** The members of the request context, in the order in which they are signed. */
export const CONTEXT_FIELDS = ["appName", "origin", "ip", "city", "browser", "requestedAt", "effect"];

/** The framed request context; its SHA-256 is what a decision is bound to. */
export function contextMessage(context) {
  return framed("useid-middleware/device-switch/context/v1", ...CONTEXT_FIELDS.map((name) => utf8(context[name])));
}

/** SHA-256. */
export async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

function decimal(seconds) {
  if (!Number.isSafeInteger(seconds) || seconds < 0) throw new PhoneError("clock_wrong", "issuedAt: expected Unix seconds");
  return utf8(String(seconds));
}

/** What is signed to approve or reject. Ids, challenge, frame, digest and key id are raw bytes. */
export function decisionMessage(decision, { server, sessionId, challenge, frame, contextDigest, keyId, issuedAt }) {
  if (decision !== "approve" && decision !== "reject") throw new PhoneError("malformed_request", "decision");
  return framed(
    "useid-middleware/device-switch/decision/v1",
    utf8(decision),
    utf8(server),
    sessionId,
    challenge,
    frame,
    contextDigest,
    keyId,
    decimal(issuedAt),
  );
}

/** What is signed to prove possession of a new key. */
export function enrolmentMessage({ server, enrolmentId, challenge, publicKey, label, issuedAt }) {
  return framed(
    "useid-middleware/device-switch/enrolment/v1",
    utf8(server),
    enrolmentId,
    challenge,
    publicKey,
    utf8(label),
    decimal(issuedAt),
  );
}

/** A key pair whose private half no script can read. `publicKey` is raw. */
export async function newKeyPair() {
  try {
    const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"]);
    return { privateKey: pair.privateKey, publicKey: new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)) };
  } catch {
    // No crypto.subtle outside a secure context, no Ed25519 in an old browser.
    throw new PhoneError("ed25519_unsupported");
  }
}

/** An Ed25519 signature (RFC 8032), 64 bytes. */
export async function sign(privateKey, message) {
  return new Uint8Array(await crypto.subtle.sign({ name: "Ed25519" }, privateKey, message));
}

const ID_NAME = { auth: "session", enrol: "enrolment" };

const KEY_MARK = "#key=";

/**
 * A link, checked as the reference says, or `link_refused`: `{type, id, challenge, server, frame, widgetKey}` with raw
 * bytes; `widgetKey` is what the widget added to be sealed to, empty where there is none. Whether `server` is trusted is for the caller to judge.
 */
export function parseLink(text, { scheme, universalLink = "" }) {
  if (typeof text !== "string" || text.length > MAX_LINK || !/^[\x21-\x7e]+$/.test(text)) {
    throw refused(`expected at most ${MAX_LINK} printable ASCII characters without spaces`);
  }
  const [address] = text.split("#", 1);
  const fragment = text.slice(address.length);
  const mark = address.indexOf("?");
  if (mark < 0) throw refused("expected a URL with a query");
  const base = address.slice(0, mark);
  const parameters = readQuery(address.slice(mark + 1));
  let type;
  if (universalLink && base === universalLink) {
    type = parameters.get("type");
    parameters.delete("type");
  } else if (base.startsWith(`${scheme}://`)) {
    type = base.slice(scheme.length + 3);
  } else {
    throw refused("expected the scheme of this app");
  }
  if (type !== "auth" && type !== "enrol") throw refused("expected type auth or enrol");
  const needed = [ID_NAME[type], "challenge", "server"];
  const allowed = type === "auth" ? [...needed, "frame"] : needed;
  if (!needed.every((name) => parameters.has(name)) || ![...parameters.keys()].every((name) => allowed.includes(name))) {
    throw refused("expected the parameters of the reference and no others");
  }
  if (fragment && !(type === "auth" && fragment.startsWith(KEY_MARK))) throw refused("expected no such fragment");
  const binary = (name, size, value = parameters.get(name)) => {
    try {
      return unB64url(value, size);
    } catch {
      throw refused(`${name}: expected ${size} bytes of base64url`);
    }
  };
  return {
    type,
    id: binary(ID_NAME[type], 16),
    challenge: binary("challenge", 32),
    server: checkServer(parameters.get("server")),
    frame: parameters.has("frame") ? binary("frame", 8) : new Uint8Array(0),
    widgetKey: fragment ? binary("key", 32, fragment.slice(KEY_MARK.length)) : new Uint8Array(0),
  };
}

function readQuery(query) {
  const parameters = new Map();
  for (const pair of query.split("&")) {
    if (!pair.includes("=")) throw refused("expected name=value pairs");
    // URLSearchParams decodes one pair; splitting first keeps empty pairs from being skipped.
    const [[name, value]] = [...new URLSearchParams(pair)];
    if (parameters.has(name)) throw refused("expected each parameter once");
    parameters.set(name, value);
  }
  return parameters;
}

/** Origin in its one spelling, then a plain path: no userinfo, query, fragment, escapes or dot segments. */
function checkServer(server) {
  const parts = /^(https?):\/\/([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?((?:\/[A-Za-z0-9._~-]+)*)$/.exec(server);
  if (!parts) throw refused("server: expected an https address without userinfo, query, fragment or escapes");
  const [, protocol, host, port = "", path] = parts;
  let url;
  try {
    url = new URL(server);
  } catch {
    throw refused("server: expected an https address");
  }
  // The browser's own reading must be the same server, or what is shown is not what would be contacted.
  if (url.origin !== `${protocol}://${host}${port}` || (path && url.pathname !== path)) {
    throw refused("server: expected the address in its canonical spelling");
  }
  if (protocol === "http" && !isLoopback(host)) throw refused("server: expected https; http is for loopback hosts alone");
  return server;
}

function isLoopback(host) {
  return (
    host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || /^127(\.[0-9]{1,3}){3}$/.test(host)
  );
}

function refused(detail) {
  return new PhoneError("link_refused", detail);
}
