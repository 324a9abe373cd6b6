/**
 * What binds a login to this page and to the phone beside it, for every kind of login that is bound: the key pair that the
 * phone seals for, the proof that the phone is at hand, and where what was sealed may lead.
 *
 * The private key is a CryptoKey that no script can read, ours included. A browser shows scripts no certificate of the site
 * that it leads to: the server has looked at it instead, before it released what is sealed (docs/security.md).
 */

import { REASONS, asked, hasPasskeys } from "./ceremony.js";
import { encode, newKeyPair, openRefreshUrl } from "./hpke.js";
import { Failure } from "./request.js";

/** `cancelled` is what becomes of a whole login; here the person can turn to the phone once more. */
const REFUSALS = Object.freeze({ ...REASONS, NotAllowedError: "passkey_cancelled", AbortError: "passkey_cancelled" });

export class Binding {
  #browser;
  #keyPair;
  #refreshOrigins;
  #asked = null;
  #proof = null;

  /**
   * Of a new login, with a key pair of its own; `refreshOrigins` are the server's. `crypto`, `origin` (our page's),
   * `credentials` (the browser's container) and `PublicKeyCredential` are what a browser has. Throws a Failure, before
   * anybody scans in vain: insecure_page, unsupported.
   */
  static async of({ crypto, origin, credentials, PublicKeyCredential }, refreshOrigins) {
    const browser = { crypto, origin, credentials, PublicKeyCredential };
    checkCrypto(crypto);
    if (!hasPasskeys(browser)) throw new Failure("unsupported", "this browser has no passkeys");
    let keyPair;
    try {
      keyPair = await newKeyPair(crypto);
    } catch (error) {
      throw new Failure("unsupported", `this browser makes no X25519 keys: ${error.name}`);
    }
    return new Binding(browser, keyPair, refreshOrigins);
  }

  constructor(browser, keyPair, refreshOrigins) {
    this.#browser = browser;
    this.#keyPair = keyPair;
    this.#refreshOrigins = refreshOrigins;
  }

  /** The public key as the link has it: 43 characters. */
  get publicKey() {
    return encode(this.#keyPair.publicKey);
  }

  /** The phone has made its credential, and this is what the server asks the browser to prove; throws invalid_response. */
  expect({ userId, options }) {
    try {
      if (typeof userId !== "string" || !/^[\w-]+$/.test(userId)) throw new TypeError("expected userId");
      this.#asked = { userId, publicKey: this.#browser.PublicKeyCredential.parseRequestOptionsFromJSON(options) };
    } catch (error) {
      throw new Failure("invalid_response", `what the browser is to prove cannot be read: ${error.message}`);
    }
  }

  /**
   * Have the browser ask the phone for its credential, and `post(path, body)` what it says; returns the server's answer, or
   * null if we were told to let go. To be called from a click, for some browsers want one. Throws a Failure of `post`, or:
   * passkey_cancelled (by the user, by time, or for want of a phone: browsers do not tell which), authenticator_failed,
   * unsupported, origin_refused.
   */
  async prove(post) {
    const { userId, publicKey } = this.#asked;
    const aborting = new AbortController();
    const { signal } = aborting;
    const proof = (this.#proof = { isSent: false, abort: () => aborting.abort() });
    try {
      // Nothing is awaited before the browser is asked: a click does not last.
      const credential = await asked(() => this.#browser.credentials.get({ publicKey, signal }), REFUSALS);
      if (signal.aborted) return null;
      proof.isSent = true;
      const answer = await post(`/webauthn/accounts/${userId}/assertions`, { credential: credential.toJSON() });
      return signal.aborted ? null : answer;
    } catch (error) {
      if (signal.aborted) return null;
      throw error;
    } finally {
      if (this.#proof === proof) this.#proof = null;
    }
  }

  /** Whether a proof is with the server, whose answer is the one that counts. */
  get isSent() {
    return this.#proof?.isSent === true;
  }

  /** Let go of the proof under way, if there is one. */
  abort() {
    this.#proof?.abort();
    this.#proof = null;
  }

  /** The address that the phone sealed for us, if this login may lead there; throws sealed_invalid, refresh_refused. */
  async open(sealed, sessionId) {
    let target;
    try {
      target = await openRefreshUrl(sealed, { keyPair: this.#keyPair, sessionId, crypto: this.#browser.crypto });
    } catch {
      throw sealedInvalid();
    }
    return checkTarget(target, { origin: this.#browser.origin, refreshOrigins: this.#refreshOrigins });
  }
}

/** What a proof that came to nothing means, as a signal to the login: a refusal ends it, much else can be tried again. */
export function signalOf({ code, passing }) {
  if (passing || ["passkey_cancelled", "authenticator_failed"].includes(code)) return "authenticating";
  if (["session_unknown", "session_expired", "binding_unknown", "webauthn_challenge_expired"].includes(code)) return "expired";
  return code.startsWith("webauthn_") || code === "eservice_refused" ? "rejected" : "failed";
}

/** Why a login was rejected that the phone's user had approved, where nothing else says it. */
export function unproven() {
  return new Failure("binding_refused", "the server did not accept the proof that the phone is at hand");
}

/** Whether this page can open anything at all; throws insecure_page. */
export function checkCrypto(crypto) {
  if (!crypto?.subtle) throw new Failure("insecure_page", "a browser decrypts on pages from https and localhost only");
}

/** What is said of anything that we cannot open. */
export function sealedInvalid() {
  return new Failure("sealed_invalid", "what came from the phone was not sealed for this page");
}

/**
 * The address that a login leads to, if it may: over https (on this machine alone also http), at one of `refreshOrigins`
 * exactly. `origin` is our page's. Throws refresh_refused.
 */
export function checkTarget(target, { origin, refreshOrigins }) {
  const url = URL.canParse(target) ? new URL(target) : null;
  const secure = url?.protocol === "https:" || (isPlainLoopback(url) && isPlainLoopback(new URL(origin)));
  const expected = Array.isArray(refreshOrigins) && refreshOrigins.includes(url?.origin);
  if (!secure || !expected || url.username !== "" || url.password !== "") {
    throw new Failure("refresh_refused", "the phone's client sent an address that this login must not lead to");
  }
  return url.href;
}

function isPlainLoopback(url) {
  return url?.protocol === "http:" && /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
}
