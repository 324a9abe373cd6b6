// The phone's part in a bound login: its end is sealed for the widget, and a passkey of this phone gives it out there.
// Each step takes what the one before it made. No DOM and no network here.

import { checkRpId, createCredential } from "./authenticator.js";
import { forgetCredential, listCredentials } from "./credentials.js";
import { sealRefreshUrl } from "./hpke-seal.js";
import { PhoneError, b64url, unB64url } from "./protocol.js";

const MAX_REFRESH_URL = 2048;
const USER_ID_SIZE = 32;
/** What this phone attests with. */
export const ATTESTATION_FORMATS = ["packed"];
/**
 * Passkeys of one website that it does not find by itself. A login's passkey is of no use when the login is over, which only
 * the server knows: so the oldest make room.
 */
export const MOST_KEPT = 32;

/** What a login link must have for a bound login, before anybody is asked: `{server, sessionId, widgetKey, origin}`. */
export async function checkBinding({ server, id, widgetKey }) {
  if (!widgetKey.length) throw new PhoneError("widget_key_missing");
  const { origin } = new URL(server);
  checkRpId("", origin);
  const binding = { server, sessionId: b64url(id), widgetKey, origin };
  // Whether a key is one shows when something is sealed to it.
  await seal(binding, "");
  return binding;
}

/** The end of the login, sealed: `{binding, sealedRefreshUrl}`. It must be at the server's own origin. */
export async function sealEnd(binding, refreshUrl) {
  const isPlain = typeof refreshUrl === "string" && /^[\x21-\x5b\x5d-\x7e]+$/.test(refreshUrl);
  if (!isPlain || refreshUrl.length > MAX_REFRESH_URL || !refreshUrl.startsWith(`${binding.origin}/`)) {
    throw new PhoneError("answer_invalid", "refreshUrl");
  }
  return { binding, sealedRefreshUrl: await seal(binding, refreshUrl) };
}

/** The temporary account, from the server's answer: `{binding, userId, rpId, options}`. */
export function readAccount({ binding }, { userId, options }) {
  try {
    unB64url(userId, USER_ID_SIZE);
  } catch {
    throw new PhoneError("answer_invalid", "userId");
  }
  if (options?.user?.id !== userId) throw new PhoneError("answer_invalid", "options: expected the account's own id");
  return { binding, userId, rpId: checkRpId(options.rp?.id, binding.origin), options };
}

/** A passkey for the account, kept: `RegistrationResponseJSON`. The user must have confirmed. */
export async function makePasskey({ binding, rpId, options }) {
  const credential = await createCredential(options, { gesture: "verification", origin: binding.origin });
  const held = (await listCredentials()).filter((each) => each.rpId === rpId && !each.isDiscoverable);
  held.sort((one, other) => other.createdAt - one.createdAt);
  const outdated = held.filter(({ id }) => id !== credential.id).slice(MOST_KEPT - 1);
  await Promise.all(outdated.map(({ id }) => forgetCredential(id)));
  return credential;
}

function seal({ widgetKey, sessionId }, refreshUrl) {
  return sealRefreshUrl(refreshUrl, { publicKey: widgetKey, sessionId });
}
