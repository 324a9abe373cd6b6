// A computer nearby asks for a passkey: the phone's end of hybrid.js, for pages of the same origin. Reads and signs; what
// the user is shown and asked is for the caller.

import { findCredentials, getCredential } from "./authenticator.js";

/**
 * What a message of the channel asks for, if it asks and this phone could: `{id, origin, topOrigin, options, accounts}`,
 * otherwise null. `accounts` are `{userName, rpId}`, one for each account of which this phone holds a passkey that would do.
 */
export async function readRequest({ data, origin }) {
  const { type, id, topOrigin = "", options } = data ?? {};
  // The browser says where a message is from; what the message says must be the same.
  if (type !== "useid:authenticate" || typeof id !== "string" || data.origin !== origin) return null;
  if (topOrigin !== "" && !isOrigin(topOrigin)) return null;
  const accounts = new Map();
  try {
    for (const { userHandle, userName, rpId } of await findCredentials(options, { origin })) {
      if (!accounts.has(userHandle.join())) accounts.set(userHandle.join(), { userName, rpId });
    }
  } catch {
    // Not for us: another phone may answer, or the browser.
  }
  return accounts.size ? { id, origin, topOrigin, options, accounts: [...accounts.values()] } : null;
}

/** The answer for the computer, as a message: the user must have confirmed that this account's passkey be used. */
export async function useCredential({ id, origin, topOrigin, options }, { userName }) {
  const credential = await getCredential(options, {
    gesture: "verification",
    userName,
    origin,
    topOrigin,
    attachment: "cross-platform",
  });
  return { type: "useid:credential", id, credential };
}

/** The answer of somebody who did not confirm. */
export function decline({ id }) {
  return { type: "useid:credential", id, error: "NotAllowedError" };
}

function isOrigin(text) {
  return URL.canParse(text) && new URL(text).origin === text;
}
