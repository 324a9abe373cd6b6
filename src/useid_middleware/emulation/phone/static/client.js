// The phone's network: one call per step; every answer is limited in size and checked before anything is shown or kept.

import { ATTESTATION_FORMATS, checkBinding, readAccount, sealEnd } from "./binding.js";
import { CONTEXT_FIELDS, PhoneError, b64url, contextMessage, decisionMessage, enrolmentMessage, sha256, sign, unB64url } from "./protocol.js";

const MAX_ANSWER = 16 * 1024;
const TIMEOUT = 10_000;

/** Tell the server that this phone scanned: the request context, the seconds left, and the binding if it is to be bound. */
export async function scan(link, key) {
  const body = { type: "scan", keyId: key.keyId };
  if (link.frame.length) body.frame = b64url(link.frame);
  const answer = await call("POST", link.server, `/session/${b64url(link.id)}`, body);
  const context = answer.context;
  if (typeof context !== "object" || context === null || !Number.isFinite(answer.expiresIn)) throw invalid("context");
  for (const name of CONTEXT_FIELDS) if (typeof context[name] !== "string") throw invalid(`context.${name}`);
  // What this app cannot explain to the user, it does not sign.
  if (context.effect !== "login") throw new PhoneError("effect_unknown");
  if (![undefined, true, false].includes(answer.binding)) throw invalid("binding");
  return { context, expiresIn: answer.expiresIn, binding: answer.binding ? await checkBinding(link) : null };
}

/**
 * Sign and send the decision: `{code, end}`. The confirmation code is empty when none is asked for; `end` is that of a bound
 * login that was approved, sealed at once, and null otherwise.
 */
export async function decide(decision, link, key, { context, binding }) {
  const issuedAt = Math.floor(Date.now() / 1000);
  const message = decisionMessage(decision, {
    server: link.server,
    sessionId: link.id,
    challenge: link.challenge,
    frame: link.frame,
    contextDigest: await sha256(contextMessage(context)),
    keyId: unB64url(key.keyId, 16),
    issuedAt,
  });
  const answer = await call("POST", link.server, `/${decision}`, {
    sessionId: b64url(link.id),
    keyId: key.keyId,
    publicKey: key.publicKey,
    signature: b64url(await sign(key.privateKey, message)),
    issuedAt,
  });
  if (answer.status !== (decision === "approve" ? "approved" : "rejected")) throw invalid("status");
  if (binding && decision === "approve") return { code: "", end: await sealEnd(binding, answer.refreshUrl) };
  return { code: answer.code === undefined || answer.code === "" ? "" : checkCode(answer.code), end: null };
}

/** Hand over the sealed end of a login: its temporary account, for which a passkey is wanted. */
export async function openAccount(end) {
  const { binding, sealedRefreshUrl } = end;
  const body = { widgetSessionId: binding.sessionId, sealedRefreshUrl, attestationFormats: ATTESTATION_FORMATS };
  return readAccount(end, await call("POST", binding.server, "/webauthn/accounts", body, 201));
}

/** Hand over the passkey's public key, once the passkey is kept: the other device is asked for it from now on. */
export async function register({ binding, userId }, credential) {
  await call("PUT", binding.server, `/webauthn/accounts/${userId}`, { credential }, 204);
}

/** Prove possession of a new key: the enrolled key, ready to be kept, and the code for the desktop. */
export async function enrol(link, { privateKey, publicKey }, label) {
  const issuedAt = Math.floor(Date.now() / 1000);
  const fields = { server: link.server, enrolmentId: link.id, challenge: link.challenge, publicKey, label, issuedAt };
  const signature = await sign(privateKey, enrolmentMessage(fields));
  const answer = await call("POST", link.server, `/devices/enrol/${b64url(link.id)}`, {
    publicKey: b64url(publicKey),
    signature: b64url(signature),
    label,
    issuedAt,
  });
  for (const name of ["keyId", "username", "appName"]) if (typeof answer[name] !== "string") throw invalid(name);
  try {
    unB64url(answer.keyId, 16);
  } catch {
    throw invalid("keyId");
  }
  const { keyId, username, appName } = answer;
  const code = checkCode(answer.code);
  return { key: { server: link.server, username, appName, label, keyId, publicKey: b64url(publicKey), privateKey }, code };
}

async function call(method, server, path, body, expected = 200) {
  // The page's policy lets it talk to its own origin alone; say so instead of failing with the browser's silence.
  if (new URL(server).origin !== location.origin) throw new PhoneError("origin_unreachable", server);
  let response;
  let text;
  try {
    response = await fetch(server + path, {
      method,
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(TIMEOUT),
    });
    // A 204 has no body at all.
    text = response.body ? await readLimited(response) : "";
  } catch (error) {
    if (error instanceof PhoneError) throw error;
    throw new PhoneError("server_unreachable");
  }
  if (response.status === 204 && expected === 204) return null;
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw invalid(`status ${response.status}, expected JSON`);
  }
  if (typeof answer !== "object" || answer === null) throw invalid("expected an object");
  if (response.status === expected) return answer;
  const { code, message = "" } = answer;
  const { status } = response;
  if (typeof code !== "string" || !/^[a-z][a-z0-9_]{0,63}$/.test(code)) throw invalid(`status ${status}`);
  const retryAfter = Number(response.headers.get("Retry-After")) || undefined;
  throw new PhoneError(code, String(message).slice(0, 300), { retryAfter, status });
}

async function readLimited(response) {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = response.body.getReader();
  let text = "";
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.length;
    if (size > MAX_ANSWER) {
      await reader.cancel();
      throw invalid(`expected at most ${MAX_ANSWER} bytes`);
    }
    text += decoder.decode(value, { stream: true });
  }
}

function checkCode(code) {
  if (typeof code !== "string" || !/^[0-9]{6}$/.test(code)) throw invalid("code");
  return code;
}

function invalid(detail) {
  return new PhoneError("answer_invalid", detail);
}
