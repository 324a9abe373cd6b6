// A software authenticator and the browser's part around it (WebAuthn Level 3): options as JSON in, a credential as JSON
// out. ES256 by WebCrypto. No DOM and no network here; the Python side checks it by what it makes.

import { PhoneError, b64url, sha256, unB64url, utf8 } from "./protocol.js";
import { countSignature, keepCredential, listCredentials } from "./credentials.js";

const ES256 = -7;
const CURVE = { name: "ECDSA", namedCurve: "P-256" };
const UP = 0x01;
const UV = 0x04;
const AT = 0x40;
const ED = 0x80;
const TRANSPORTS = ["hybrid", "internal"];
const ATTESTING = ["indirect", "direct", "enterprise"];
const ATTACHMENTS = ["platform", "cross-platform"];
/** The model, by which a server recognises the emulated phone: the same as on the command line. */
const AAGUID = unB64url("em0cXisPTH-dZOGjtcgPKQ", 16);

/**
 * `PublicKeyCredentialCreationOptionsJSON` in, `RegistrationResponseJSON` out (§5.1.3); the passkey is kept meanwhile.
 * `gesture` is what the user did: none, presence or verification. `attachment` says where the page is: on this phone
 * (platform) or on another device (cross-platform).
 */
export async function createCredential(options, { gesture, origin = location.origin, topOrigin = "", attachment = "platform" }) {
  const { rp, user, authenticatorSelection: selection = {}, extensions = {} } = asObject(options, "options");
  for (const [value, name] of [[rp, "rp"], [user, "user"], [selection, "authenticatorSelection"], [extensions, "extensions"]]) {
    asObject(value, name);
  }
  for (const name of ["name", "displayName"]) asText(user[name], `user.${name}`);
  const userHandle = bytes(user.id, "user.id");
  if (userHandle.length > 64) throw malformed("user.id: expected 1 to 64 bytes");
  const parameters = asList(options.pubKeyCredParams, "pubKeyCredParams").map((each) => asObject(each, "pubKeyCredParams"));
  const excluded = ids(options.excludeCredentials, "excludeCredentials");
  const prf = asObject(extensions.prf ?? {}, "prf");
  const wantsPrf = Boolean(extensions.prf);
  if (prf.evalByCredential) throw unsupported("prf: evalByCredential for a new credential");
  const inputs = prfInputs(prf.eval);
  const rpId = checkRpId(rp.id, origin);
  const wanted = selection.authenticatorAttachment;
  if (ATTACHMENTS.includes(wanted) && wanted !== attachment) throw new PhoneError("authenticator_attachment_refused");
  const client = clientData("webauthn.create", options.challenge, origin, topOrigin);
  if (parameters.length && !parameters.some(({ type, alg }) => type === "public-key" && alg === ES256)) {
    throw new PhoneError("authenticator_algorithm_unsupported");
  }
  const flags = checkGesture(gesture, selection.userVerification === "required" || inputs.length > 0);
  if ((await listCredentials()).some((held) => held.rpId === rpId && excluded.includes(held.id))) {
    throw new PhoneError("authenticator_credential_excluded");
  }
  const { privateKey, publicKey } = await newKeys();
  const point = new Uint8Array(await crypto.subtle.exportKey("raw", publicKey));
  const credential = {
    id: b64url(crypto.getRandomValues(new Uint8Array(32))),
    rpId,
    userHandle,
    userName: user.name,
    userDisplayName: user.displayName,
    signCount: 0,
    isDiscoverable: isDiscoverable(selection),
    createdAt: Date.now(),
    publicKey: point,
    privateKey,
    prfKey: await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign"]),
  };
  const data = await authenticatorData(credential, flags | AT, wantsPrf ? new Map([["hmac-secret", true]]) : null);
  const attests = ATTESTING.includes(options.attestation);
  const statement = attests ? new Map([["alg", ES256], ["sig", await sign(privateKey, data, client)]]) : new Map();
  const results = {};
  if (extensions.credProps === true) results.credProps = { rk: credential.isDiscoverable };
  if (wantsPrf) results.prf = { enabled: true, ...(await prfResults(credential, inputs)) };
  const response = {
    clientDataJSON: b64url(client),
    authenticatorData: b64url(data),
    transports: TRANSPORTS,
    publicKey: b64url(new Uint8Array(await crypto.subtle.exportKey("spki", publicKey))),
    publicKeyAlgorithm: ES256,
    attestationObject: b64url(attestationObject(attests ? "packed" : "none", statement, data)),
  };
  await keepCredential(credential);
  return answer(credential, attachment, response, results);
}

/**
 * `PublicKeyCredentialRequestOptionsJSON` in, `AuthenticationResponseJSON` out (§5.1.4.1); the signature is counted first.
 * `userName` picks an account where this phone holds several; `findCredentials` lists them.
 */
export async function getCredential(
  options,
  { gesture, userName, origin = location.origin, topOrigin = "", attachment = "platform" },
) {
  const found = (await findCredentials(options, { origin })).filter((held) => userName === undefined || held.userName === userName);
  if (!found.length) throw new PhoneError("authenticator_no_credential");
  if (new Set(found.map((held) => held.userHandle.join())).size > 1) throw new PhoneError("authenticator_account_ambiguous");
  const extensions = asObject(options.extensions ?? {}, "extensions");
  const prf = asObject(extensions.prf ?? {}, "prf");
  const byCredential = asObject(prf.evalByCredential ?? {}, "prf.evalByCredential");
  const allowed = ids(options.allowCredentials, "allowCredentials");
  if (Object.keys(byCredential).length && !allowed.length) throw unsupported("prf: evalByCredential without allowCredentials");
  if (!Object.keys(byCredential).every((id) => allowed.includes(id))) throw malformed("prf.evalByCredential");
  const [{ id }] = found;
  const inputs = prfInputs(Object.hasOwn(byCredential, id) ? byCredential[id] : prf.eval);
  const client = clientData("webauthn.get", options.challenge, origin, topOrigin);
  const flags = checkGesture(gesture, options.userVerification === "required" || inputs.length > 0);
  const credential = await countSignature(id);
  if (!credential) throw new PhoneError("authenticator_no_credential");
  const data = await authenticatorData(credential, flags);
  const response = {
    clientDataJSON: b64url(client),
    authenticatorData: b64url(data),
    signature: b64url(await sign(credential.privateKey, data, client)),
  };
  if (credential.isDiscoverable) response.userHandle = b64url(credential.userHandle);
  return answer(credential, attachment, response, extensions.prf ? { prf: await prfResults(credential, inputs) } : {});
}

/** What there is to sign with, newest first: without `allowCredentials` the discoverable ones, else those it names. */
export async function findCredentials(options, { origin = location.origin } = {}) {
  const rpId = checkRpId(asObject(options, "options").rpId, origin);
  const listed = asList(options.allowCredentials ?? [], "allowCredentials");
  const allowed = ids(listed, "allowCredentials");
  const found = (await listCredentials()).filter(
    (held) => held.rpId === rpId && (listed.length ? allowed.includes(held.id) : held.isDiscoverable),
  );
  return found.sort((one, other) => other.createdAt - one.createdAt);
}

/** Authenticator data (§6.1), with the attested credential (§6.5.1) where `flags` say so. */
export async function authenticatorData({ rpId, id, signCount, publicKey }, flags, extensions = null) {
  const parts = [await sha256(utf8(rpId)), Uint8Array.of(flags | (extensions ? ED : 0)), bigEndian(signCount, 4)];
  if (flags & AT) {
    const name = bytes(id, "id");
    parts.push(AAGUID, bigEndian(name.length, 2), name, cbor(coseKey(publicKey)));
  }
  if (extensions) parts.push(cbor(extensions));
  return concat(parts);
}

/** §6.5.4. */
export function attestationObject(format, statement, data) {
  return cbor(new Map([["fmt", format], ["attStmt", statement], ["authData", data]]));
}

/** The client data in their one serialisation (§5.8.1.1). */
export function clientData(type, challenge, origin, topOrigin = "") {
  const crossOrigin = topOrigin !== "" && topOrigin !== origin;
  const members = { type, challenge: b64url(bytes(challenge, "challenge")), origin, crossOrigin };
  return utf8(JSON.stringify(crossOrigin ? { ...members, topOrigin } : members));
}

async function newKeys() {
  try {
    return await crypto.subtle.generateKey(CURVE, false, ["sign", "verify"]);
  } catch {
    // No crypto.subtle outside a secure context.
    throw new PhoneError("authenticator_unavailable");
  }
}

async function sign(privateKey, data, client) {
  const message = concat([data, await sha256(client)]);
  const raw = new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, privateKey, message));
  // WebCrypto gives r and s side by side, WebAuthn wants them in DER (§6.5.5).
  const numbers = concat([derInteger(raw.subarray(0, 32)), derInteger(raw.subarray(32))]);
  return concat([Uint8Array.of(0x30, numbers.length), numbers]);
}

function derInteger(number) {
  const start = number.findIndex((byte) => byte !== 0);
  const digits = number.subarray(start < 0 ? number.length - 1 : start);
  const content = digits[0] & 0x80 ? concat([Uint8Array.of(0), digits]) : digits;
  return concat([Uint8Array.of(0x02, content.length), content]);
}

function coseKey(point) {
  return new Map([[1, 2], [3, ES256], [-1, 1], [-2, point.slice(1, 33)], [-3, point.slice(33)]]);
}

/** CBOR of what is needed here; the keys of a map come in canonical order already. */
function cbor(value) {
  if (typeof value === "boolean") return Uint8Array.of(value ? 0xf5 : 0xf4);
  if (typeof value === "number") return value < 0 ? cborHead(1, -1 - value) : cborHead(0, value);
  if (typeof value === "string") return concat([cborHead(3, utf8(value).length), utf8(value)]);
  if (value instanceof Uint8Array) return concat([cborHead(2, value.length), value]);
  return concat([cborHead(5, value.size), ...[...value].flat().map(cbor)]);
}

function cborHead(major, argument) {
  if (argument < 24) return Uint8Array.of((major << 5) | argument);
  return argument < 0x100
    ? Uint8Array.of((major << 5) | 24, argument)
    : concat([Uint8Array.of((major << 5) | 25), bigEndian(argument, 2)]);
}

function bigEndian(number, size) {
  return Uint8Array.from({ length: size }, (_, index) => Math.floor(number / 256 ** (size - 1 - index)) % 256);
}

function concat(parts) {
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function answer({ id }, authenticatorAttachment, response, clientExtensionResults) {
  return { id, rawId: id, type: "public-key", authenticatorAttachment, response, clientExtensionResults };
}

function checkGesture(gesture, requiresVerification) {
  if (gesture === "verification") return UP | UV;
  if (gesture !== "presence") throw new PhoneError("authenticator_not_confirmed");
  if (requiresVerification) throw new PhoneError("authenticator_not_verified");
  return UP;
}

/** The rp id, the page's host if there is none. No list of public suffixes is here: the server knows its own domain. */
export function checkRpId(rpId, origin) {
  const url = URL.canParse(origin) ? new URL(origin) : null;
  const host = url?.hostname ?? "";
  const local = host === "localhost" || host.endsWith(".localhost");
  const isAddress = /^(\d+(\.\d+){3}|\[.*\])$/.test(host);
  if (!host || isAddress || url.origin !== origin || !(url.protocol === "https:" || (url.protocol === "http:" && local))) {
    throw new PhoneError("authenticator_origin_refused", origin);
  }
  const wanted = asText(rpId ?? "", "rp id") || host;
  const isAbove = wanted.includes(".") && host.endsWith(`.${wanted}`);
  if (wanted !== host && !isAbove) throw new PhoneError("authenticator_rp_id_refused", wanted);
  return wanted;
}

function isDiscoverable({ residentKey, requireResidentKey }) {
  if (["required", "preferred", "discouraged"].includes(residentKey)) return residentKey !== "discouraged";
  return requireResidentKey === true;
}

/** One or two inputs of the PRF, as bytes; none where none are asked for (§10.1.4). */
function prfInputs(values) {
  if (!values) return [];
  const { first, second } = asObject(values, "prf.eval");
  return [first, ...(second ? [second] : [])].map((value) => bytes(value, "prf.eval"));
}

async function prfResults({ prfKey }, inputs) {
  if (!inputs.length) return {};
  const outputs = inputs.map(async (input) => {
    const salt = await sha256(concat([utf8("WebAuthn PRF\0"), input]));
    return b64url(new Uint8Array(await crypto.subtle.sign("HMAC", prfKey, salt)));
  });
  const [first, second] = await Promise.all(outputs);
  return { results: second === undefined ? { first } : { first, second } };
}

function ids(descriptors = [], name) {
  const known = asList(descriptors, name).filter((each) => asObject(each, name).type === "public-key");
  return known.map(({ id }) => b64url(bytes(id, `${name}.id`)));
}

function bytes(text, name) {
  try {
    if (asText(text, name)) return unB64url(text, Math.floor((text.length * 3) / 4));
  } catch {
    // Said below.
  }
  throw malformed(`${name}: expected base64url, not empty`);
}

function asText(value, name) {
  if (typeof value !== "string" || !value.isWellFormed()) throw malformed(`${name}: expected text`);
  return value;
}

function asList(value, name) {
  if (!Array.isArray(value)) throw malformed(`${name}: expected a list`);
  return value;
}

function asObject(value, name) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed(`${name}: expected an object`);
  return value;
}

function malformed(detail) {
  return new PhoneError("authenticator_options_malformed", detail);
}

function unsupported(detail) {
  return new PhoneError("authenticator_extension_unsupported", detail);
}
