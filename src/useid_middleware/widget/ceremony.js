/** The browser's part in WebAuthn's ceremonies: whether it has them, and what its refusals mean. */

import { Failure } from "./request.js";

/** What browsers call it (§5.1.3, §5.1.4), and what it means here. All else is authenticator_failed. */
export const REASONS = Object.freeze({
  NotAllowedError: "cancelled", InvalidStateError: "passkey_exists", NotSupportedError: "unsupported",
  ConstraintError: "unsupported", SecurityError: "origin_refused", TypeError: "invalid_response",
});
const PARSERS = Object.freeze(["parseCreationOptionsFromJSON", "parseRequestOptionsFromJSON"]);

/** What of the browser takes part: the class, and the container of credentials. */
export const globals = () => ({
  PublicKeyCredential: globalThis.PublicKeyCredential,
  credentials: globalThis.navigator?.credentials,
});

/** Whether the browser has passkeys, and reads options as servers write them. */
export const hasPasskeys = ({ PublicKeyCredential, credentials }) =>
  Boolean(credentials) && PARSERS.every((name) => typeof PublicKeyCredential?.[name] === "function");

/** The browser's answer, or a Failure for its exception. */
export async function asked(request, reasons = REASONS) {
  try {
    return await request();
  } catch (error) {
    throw new Failure(reasons[error.name] ?? "authenticator_failed", `the browser refused: ${error.name}`);
  }
}
