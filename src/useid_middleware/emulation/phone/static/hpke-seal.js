// Sealing where a login ends, for the widget alone: HPKE in base mode (RFC 9180), one shot, with DHKEM(X25519, HKDF-SHA256),
// HKDF-SHA256 and AES-128-GCM by WebCrypto. No DOM and no network here; the widget opens what this seals.

import { PhoneError, b64url, utf8 } from "./protocol.js";

const SUITE_KEM = utf8("KEM\x00\x20");
const SUITE = utf8("HPKE\x00\x20\x00\x01\x00\x01");
const VERSION = utf8("HPKE-v1");
const NONE = new Uint8Array(0);
const MODE_BASE = 0;
const CONTEXT = "useid-refresh-hpke-v1\n";

/** The refresh address, sealed for the widget whose public key (32 bytes) the link carried; `sessionId` is base64url. */
export async function sealRefreshUrl(refreshUrl, { publicKey, sessionId }) {
  let ephemeral;
  try {
    ephemeral = await crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]);
  } catch {
    // No crypto.subtle outside a secure context, no X25519 in an old browser.
    throw new PhoneError("authenticator_unavailable");
  }
  try {
    return b64url(await sealBase(utf8(refreshUrl), { publicKey, info: utf8(CONTEXT + sessionId), ephemeral }));
  } catch {
    // WebCrypto refuses points of small order, to which anybody could open what is sealed.
    throw new PhoneError("widget_key_invalid");
  }
}

/** `SealBase` (§6.1): `enc`, ciphertext and tag, one behind the other. An `ephemeral` key pair seals once. */
export async function sealBase(plaintext, { publicKey, info, aad = NONE, ephemeral }) {
  const enc = new Uint8Array(await crypto.subtle.exportKey("raw", ephemeral.publicKey));
  const shared = await encapsulate(ephemeral.privateKey, enc, publicKey);
  const { key, nonce } = await keySchedule(shared, info);
  const aes = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData: aad }, aes, plaintext);
  return concat(enc, new Uint8Array(sealed));
}

/** `Encap` (§4.1). */
async function encapsulate(privateKey, enc, publicKey) {
  const peer = await crypto.subtle.importKey("raw", publicKey, { name: "X25519" }, false, []);
  const agreed = new Uint8Array(await crypto.subtle.deriveBits({ name: "X25519", public: peer }, privateKey, 256));
  const secret = await labelledExtract(SUITE_KEM, NONE, "eae_prk", agreed);
  return labelledExpand(SUITE_KEM, secret, "shared_secret", concat(enc, publicKey), 32);
}

/** `KeySchedule` (§5.1) of base mode, without pre-shared key. */
async function keySchedule(shared, info) {
  const context = concat(
    Uint8Array.of(MODE_BASE),
    await labelledExtract(SUITE, NONE, "psk_id_hash", NONE),
    await labelledExtract(SUITE, NONE, "info_hash", info),
  );
  const secret = await labelledExtract(SUITE, shared, "secret", NONE);
  return {
    key: await labelledExpand(SUITE, secret, "key", context, 16),
    nonce: await labelledExpand(SUITE, secret, "base_nonce", context, 12),
  };
}

/** `LabeledExtract` (§4): HKDF-Extract is one HMAC (RFC 5869 §2.2). */
function labelledExtract(suite, salt, label, input) {
  return hmac(salt, concat(VERSION, suite, utf8(label), input));
}

/** `LabeledExpand` (§4), of one block of the hash at most: HKDF-Expand is one HMAC then (RFC 5869 §2.3). */
async function labelledExpand(suite, secret, label, info, size) {
  const labelled = concat(Uint8Array.of(size >> 8, size & 0xff), VERSION, suite, utf8(label), info);
  return (await hmac(secret, concat(labelled, Uint8Array.of(1)))).slice(0, size);
}

async function hmac(secret, message) {
  // A key of no bytes, which WebCrypto refuses, is one of as many zeros as one likes.
  const padded = secret.length ? secret : new Uint8Array(32);
  const key = await crypto.subtle.importKey("raw", padded, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, message));
}

function concat(...parts) {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
