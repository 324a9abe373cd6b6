/**
 * The widget's key of a login, and opening what the phone sealed for it: HPKE in base mode (RFC 9180), one shot, with
 * DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-128-GCM. WebCrypto has the parts; this puts them together.
 */

const SUITE_KEM = Uint8Array.of(0x4b, 0x45, 0x4d, 0x00, 0x20);
const SUITE = Uint8Array.of(0x48, 0x50, 0x4b, 0x45, 0x00, 0x20, 0x00, 0x01, 0x00, 0x01);
const VERSION = utf8("HPKE-v1");
const NONE = new Uint8Array(0);
const ENC_SIZE = 32;
const TAG_SIZE = 16;
const KEY_SIZE = 16;
const NONCE_SIZE = 12;
const MODE_BASE = 0;
const CONTEXT = "useid-refresh-hpke-v1\n";
/** Characters of a sealed address, as the server takes it. */
const LONGEST = 4096;

/** A new key pair: `publicKey` are its 32 bytes, `privateKey` is a CryptoKey that no script can read. */
export async function newKeyPair({ subtle } = globalThis.crypto) {
  const { publicKey, privateKey } = await subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]);
  return { publicKey: new Uint8Array(await subtle.exportKey("raw", publicKey)), privateKey };
}

/** The refresh address that was sealed for this key pair and session; rejects if it was not. */
export async function openRefreshUrl(sealed, { keyPair, sessionId, crypto = globalThis.crypto }) {
  if (typeof sealed !== "string" || sealed.length > LONGEST) throw new RangeError("expected a sealed address");
  const opened = await openBase(decode(sealed), { ...keyPair, info: utf8(CONTEXT + sessionId), crypto });
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(opened);
}

/** `OpenBase` (§6.1) of `enc`, ciphertext and tag, one behind the other; rejects for whatever was not sealed for us. */
export async function openBase(sealed, { privateKey, publicKey, info, aad = NONE, crypto: { subtle } = globalThis.crypto }) {
  if (sealed.length < ENC_SIZE + TAG_SIZE) throw new RangeError("expected enc, ciphertext and tag");
  const enc = sealed.slice(0, ENC_SIZE);
  const shared = await decapsulate(subtle, enc, privateKey, publicKey);
  const { key, nonce } = await keySchedule(subtle, shared, info);
  const aes = await subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
  const algorithm = { name: "AES-GCM", iv: nonce, additionalData: aad };
  return new Uint8Array(await subtle.decrypt(algorithm, aes, sealed.slice(ENC_SIZE)));
}

/** `Decap` (§4.1). WebCrypto itself refuses points of small order. */
async function decapsulate(subtle, enc, privateKey, publicKey) {
  const peer = await subtle.importKey("raw", enc, { name: "X25519" }, false, []);
  const agreed = new Uint8Array(await subtle.deriveBits({ name: "X25519", public: peer }, privateKey, 256));
  const input = labelled(SUITE_KEM, "eae_prk", agreed);
  return derive(subtle, NONE, input, expansion(SUITE_KEM, "shared_secret", concat(enc, publicKey), 32), 32);
}

/** `KeySchedule` (§5.1) of base mode, without pre-shared key. */
async function keySchedule(subtle, shared, info) {
  const context = concat(
    Uint8Array.of(MODE_BASE),
    await extract(subtle, labelled(SUITE, "psk_id_hash", NONE)),
    await extract(subtle, labelled(SUITE, "info_hash", info)),
  );
  // The salt of `secret` is the shared secret, its input the pre-shared key, of which there is none.
  const input = labelled(SUITE, "secret", NONE);
  const expand = (label, size) => derive(subtle, shared, input, expansion(SUITE, label, context, size), size);
  return { key: await expand("key", KEY_SIZE), nonce: await expand("base_nonce", NONCE_SIZE) };
}

/** What `LabeledExtract` takes in (§4). */
function labelled(suite, label, input) {
  return concat(VERSION, suite, utf8(label), input);
}

/** What `LabeledExpand` takes for info (§4). */
function expansion(suite, label, info, size) {
  return concat(Uint8Array.of(size >> 8, size & 0xff), VERSION, suite, utf8(label), info);
}

/** `Expand(Extract(salt, input), info, size)` of HKDF-SHA256: WebCrypto does both in one. */
async function derive(subtle, salt, input, info, size) {
  const key = await subtle.importKey("raw", input, "HKDF", false, ["deriveBits"]);
  return new Uint8Array(await subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt, info }, key, size * 8));
}

/** `Extract` with an empty salt, which stands for as many zeros as the hash is long (RFC 5869 §2.2). */
async function extract(subtle, input) {
  const key = await subtle.importKey("raw", new Uint8Array(32), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await subtle.sign("HMAC", key, input));
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

function utf8(text) {
  return new TextEncoder().encode(text);
}

/** Base64url without padding, as keys and sealed addresses are spelt. */
export function encode(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The bytes; throws for whatever `encode` would have spelt otherwise. */
export function decode(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
  if (encode(bytes) !== text) throw new RangeError("expected canonical base64url");
  return bytes;
}
