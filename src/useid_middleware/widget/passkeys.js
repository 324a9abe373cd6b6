/**
 * Passkeys as a page uses them, without a DOM: the ceremonies of WebAuthn Level 3, and the list of an account's passkeys.
 *
 *   const passkeys = new Passkeys({ server: "/auth" });
 *   button.onclick = async () => location.assign((await passkeys.login()).redirectTo);
 *
 * Everything that fails throws a Failure. Its code is the server's own, one of request.js, or: cancelled (by the user, by
 * time, or for want of a passkey: browsers do not tell which), passkey_exists (the authenticator has one for this account),
 * unsupported, origin_refused, authenticator_failed, challenge_expired (a login in the background, whose time is up),
 * superseded (we let go of it ourselves).
 *
 * Of the ceremonies one can be under way: beginning another lets go of it, as browsers demand.
 */

import { asked, globals, hasPasskeys } from "./ceremony.js";
import { Failure, alone, call } from "./request.js";

const TIMEOUT_MS = 15_000;
/** A challenge is given up this long before its end, so that nobody answers one that the server has forgotten. */
const MARGIN_MS = 10_000;

/** What this browser can do: passkeys at all, and offering them in an input field (conditional mediation). */
export async function supports(browser = globals()) {
  const passkeys = hasPasskeys(browser);
  const asking = passkeys && browser.PublicKeyCredential.isConditionalMediationAvailable?.();
  return Object.freeze({ passkeys, autofill: (await asking) === true });
}

export class Passkeys {
  #options;
  #ceremony = null;
  #open = new AbortController();

  /** fetch, setTimeout, clearTimeout, locks, credentials (the browser's container), PublicKeyCredential can be replaced. */
  constructor(options = {}) {
    this.#options = {
      server: "/auth",
      fetch: (...args) => globalThis.fetch(...args),
      setTimeout: (...args) => globalThis.setTimeout(...args),
      clearTimeout: (timer) => globalThis.clearTimeout(timer),
      locks: globalThis.navigator?.locks,
      ...globals(),
      ...options,
    };
    this.#options.server = this.#options.server.replace(/\/+$/, "");
  }

  /** Create a passkey for whoever is logged in, and return it as `list` does. Without a label the server names it. */
  register(label = "") {
    const body = label ? { label } : {};
    return this.#run(async (signal) => {
      const { ceremonyId, options } = await this.#begin("/passkeys/options", body, signal);
      const publicKey = this.#options.PublicKeyCredential.parseCreationOptionsFromJSON(options);
      const credential = await asked(() => this.#options.credentials.create({ publicKey, signal }));
      const answer = await this.#call("POST", "/passkeys", { ceremonyId, credential: credential.toJSON(), ...body }, signal);
      return check(answer, typeof answer.id === "string", "the answer to the registration lacks id");
    });
  }

  /**
   * Log in, and return the server's answer, with `redirectTo`. `username` also finds passkeys that authenticators do not
   * list. `conditional`: wait until the user picks a passkey in an input field, then tell `onChosen`.
   */
  login({ conditional = false, username = "", returnUrl = "", onChosen = () => {} } = {}) {
    const begin = username ? { username } : {};
    return this.#assert("/passkeys/login", begin, { mediation: conditional ? "conditional" : "optional", returnUrl, onChosen });
  }

  /** Prove once more who is logged in; returns the server's answer, with `redirectTo`. */
  stepUp({ returnUrl = "" } = {}) {
    return this.#assert("/passkeys/step-up", {}, { mediation: "optional", returnUrl, onChosen: () => {} });
  }

  /** The account's passkeys, oldest first. The browser learns which there still are, and what the account is called. */
  async list() {
    const { passkeys, userHandle: userId, rpId, username, displayName } = await this.#call("GET", "/passkeys");
    // A browser hides what is not on the list, so that nothing but a whole list will do.
    const sound = Array.isArray(passkeys) && passkeys.every((each) => isBase64URL(each?.id) && isBase64URL(each.credentialId));
    check(passkeys, sound && isBase64URL(userId) && typeof rpId === "string", "the answer to the list is not one");
    const allAcceptedCredentialIds = passkeys.map((each) => each.credentialId);
    await this.#signal("signalAllAcceptedCredentials", { rpId, userId, allAcceptedCredentialIds });
    if (username) {
      await this.#signal("signalCurrentUserDetails", { rpId, userId, name: username, displayName: displayName || username });
    }
    return passkeys;
  }

  /** Give a passkey another name. */
  async rename(id, label) {
    await this.#call("PATCH", `/passkeys/${encodeURIComponent(id)}`, { label });
  }

  /** Delete a passkey. `list` then tells the browser. */
  async remove(id) {
    await this.#call("DELETE", `/passkeys/${encodeURIComponent(id)}`);
  }

  /** Let go of the ceremony under way, if there is one; it fails with superseded. */
  abort() {
    this.#ceremony?.abort();
    this.#ceremony = null;
  }

  /** Let go of everything, for good. */
  close() {
    this.abort();
    this.#open.abort();
  }

  #assert(path, begin, { mediation, returnUrl, onChosen }) {
    return this.#run(async (signal) => {
      const { ceremonyId, options } = await this.#begin(`${path}/options`, begin, signal);
      const publicKey = this.#options.PublicKeyCredential.parseRequestOptionsFromJSON(options);
      const get = (until) => asked(() => this.#options.credentials.get({ publicKey, mediation, signal: until }));
      const credential = mediation === "conditional" ? await this.#while(options.timeout, signal, get) : await get(signal);
      onChosen();
      const body = { ceremonyId, credential: credential.toJSON(), ...(returnUrl && { returnUrl }) };
      let answer;
      try {
        answer = await this.#call("POST", path, body, signal);
      } catch (error) {
        if (error.code === "webauthn_credential_unknown") {
          await this.#signal("signalUnknownCredential", { rpId: options.rpId, credentialId: credential.id });
        }
        throw error;
      }
      return check(answer, typeof answer.redirectTo === "string", "the answer to the login lacks redirectTo");
    });
  }

  /** Browsers ignore the timeout of a conditional request, so that we keep it: challenge_expired when it is over. */
  async #while(timeout, signal, get) {
    const { setTimeout, clearTimeout } = this.#options;
    const ours = new AbortController();
    const milliseconds = Number.isFinite(timeout) ? Math.max(timeout - MARGIN_MS, timeout / 2) : 60_000;
    let isOver = false;
    const timer = setTimeout(() => {
      isOver = true;
      ours.abort();
    }, milliseconds);
    const abort = () => ours.abort();
    signal.addEventListener("abort", abort);
    try {
      return await get(ours.signal);
    } catch (error) {
      throw isOver ? new Failure("challenge_expired", "nobody has picked a passkey in time") : error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    }
  }

  /** One ceremony, instead of the one before. */
  async #run(ceremony) {
    this.abort();
    const ours = (this.#ceremony = new AbortController());
    try {
      if (!hasPasskeys(this.#options)) throw new Failure("unsupported", "this browser has no passkeys");
      return await ceremony(ours.signal);
    } catch (error) {
      if (ours.signal.aborted) throw new Failure("superseded", "another ceremony has begun, or the page is gone");
      throw Failure.of(error);
    } finally {
      if (this.#ceremony === ours) this.#ceremony = null;
    }
  }

  async #begin(path, body, signal) {
    const { locks } = this.#options;
    const answer = await alone({ locks, signal }, () => this.#call("POST", path, body, signal));
    const sound = typeof answer.ceremonyId === "string" && typeof answer.options === "object" && answer.options !== null;
    return check(answer, sound, "the answer lacks ceremonyId or options");
  }

  #call(method, path, body, signal = this.#open.signal) {
    const { fetch, server } = this.#options;
    return call({ fetch, clock: this.#options, timeout: TIMEOUT_MS, signal }, method, server + path, body);
  }

  /** Tell the browser's keepers of passkeys (§5.1.10), where it can. These are hints: nothing here depends on them. */
  async #signal(name, details) {
    try {
      await this.#options.PublicKeyCredential?.[name]?.(details);
    } catch {
      // A keeper that could not be told shows an outdated passkey, as where there is no such function.
    }
  }
}

const isBase64URL = (value) => typeof value === "string" && /^[\w-]+$/.test(value);

function check(answer, isSound, problem) {
  if (!isSound) throw new Failure("invalid_response", problem);
  return answer;
}
