/**
 * The page's side of a login with an ID card, without a DOM: what to show, and when.
 *
 *   const auth = new EIDAuth({ server: "/auth" });
 *   auth.addEventListener("state", () => render(auth.state));
 *   auth.addEventListener("claimed", (event) => location.assign(event.detail.redirectTo));
 *   await auth.initSession();
 *
 * `state` is that of QRAuth, and: `mode` is standard (the QR code opens a page on the phone, which starts a stock eID
 * client), integrated (the phone's client knows the widget and seals the refresh address for it), bound (the same, and in
 * status `authenticate` a click must call `auth.authenticate()`) or same-device (the client is on this device; there is no
 * QR code); `clientUrl` and `loopbackUrl` start a client here. In same-device mode `approved` means that the window which the
 * client opened is logged in. Further codes of `error`: cancelled, client_failed, document_refused, requirements_unmet, and
 * in integrated mode sealed_invalid, refresh_refused, insecure_page.
 *
 * In integrated mode `qrData` and `clientUrl` end with the widget's secret, in their fragment: it is drawn and shown, and
 * sent nowhere. In bound mode they end with its public key. The wire is docs/reference/eid.md.
 */

import { Binding, checkCrypto, checkTarget, sealedInvalid } from "./bound.js";
import { decode, encode } from "./hpke.js";
import { Failure } from "./request.js";
import { LINK, WaitingLogin } from "./waiting-login.js";

const MODES = Object.freeze(["standard", "integrated", "bound", "same-device"]);
const LOOPBACK_CLIENT = "http://127.0.0.1:24727/eID-Client?";
const SECRET_SIZE = 32;
const NONCE_SIZE = 12;
const CONTEXT = "useid-refresh-v1\n";
const REASONS = Object.freeze({
  cancelled: "cancelled", failed: "client_failed", code: "too_many_codes",
  document: "document_refused", requirements: "requirements_unmet", binding: "binding_refused",
});

/** Whether the browser runs on a phone, as far as it tells: then the eID client is there too. */
export function onPhone() {
  const small = "(pointer: coarse) and ((max-width: 40rem) or (max-height: 30rem))";
  return Boolean(globalThis.navigator.userAgentData?.mobile) || globalThis.matchMedia(small).matches;
}

export class EIDAuth extends WaitingLogin {
  static path = "/eid/session";

  #secret = null;
  #refreshOrigins = [];

  /**
   * Options are those of all logins, and: `mode`, one of the above, or `default`: what the server has for phones, or `auto`:
   * same-device on a phone, else `default`; `tenant` and `tcTokenUrl` for a site with an eID integration of its own. `phone()`
   * can be replaced.
   */
  constructor(options = {}) {
    super({ mode: "auto", tenant: null, tcTokenUrl: null, phone: onPhone, ...options });
  }

  get initial() {
    return { mode: this.#wantedMode, clientUrl: null, loopbackUrl: null };
  }

  get endsElsewhere() {
    return this.state.mode === "same-device";
  }

  /** The mode to ask for; null leaves it to the server. */
  get #wantedMode() {
    const { mode, phone } = this.options;
    if (mode === "auto") return phone() ? "same-device" : null;
    return MODES.includes(mode) ? mode : null;
  }

  async begin() {
    const { returnUrl, tenant, tcTokenUrl } = this.options;
    const wanted = this.#wantedMode;
    this.#secret = null;
    const answer = await this.request("POST", "/eid/start", {
      ...(returnUrl && { returnUrl }),
      ...(wanted && { mode: wanted }),
      ...(tenant && { tenant }),
      ...(tcTokenUrl && { tcTokenUrl }),
    });
    const { sessionId, mode, expiresAt, expiresIn, loopbackUrl, refreshOrigins } = answer;
    const shown = mode === "same-device" ? answer.clientUrl : answer.qrData;
    const sound = MODES.includes(mode) && LINK.test(shown) && (!loopbackUrl || loopbackUrl.startsWith(LOOPBACK_CLIENT));
    if (!sound) throw new Failure("invalid_response", "the answer to start lacks mode, qrData or clientUrl");
    const links = { qrData: answer.qrData || null, clientUrl: answer.clientUrl || null, loopbackUrl: loopbackUrl || null };
    let fragment = "";
    const binding = mode === "bound" ? await Binding.of(this.options, refreshOrigins) : null;
    if (binding !== null) fragment = `#widgetPublicKey=${binding.publicKey}`;
    if (mode === "integrated") {
      this.#refreshOrigins = refreshOrigins;
      fragment = `#widgetSessionSecret=${this.#drawSecret()}`;
    }
    if (fragment) links.clientUrl = links.qrData += fragment;
    return { sessionId, mode, expiresAt, expiresIn, binding, ...links };
  }

  async complete(snapshot, body) {
    if (this.state.mode !== "integrated") return super.complete(snapshot, body);
    const target = await this.#open(snapshot.sealedRefreshUrl);
    return { redirectTo: checkTarget(target, { origin: this.options.origin, refreshOrigins: this.#refreshOrigins }) };
  }

  explain({ status, reason }) {
    const code = status === "rejected" && Object.hasOwn(REASONS, reason) ? REASONS[reason] : null;
    return code ? { error: new Failure(code, `the login was rejected: ${reason}`).summary } : {};
  }

  /** A new secret, as the link has it. */
  #drawSecret() {
    const { crypto } = this.options;
    checkCrypto(crypto);
    this.#secret = crypto.getRandomValues(new Uint8Array(SECRET_SIZE));
    return encode(this.#secret);
  }

  /** Decrypt: AES-256-GCM of the UTF-8 address, nonce in front, bound to this session. */
  async #open(sealed) {
    const { subtle } = this.options.crypto;
    try {
      const bytes = decode(sealed);
      const additionalData = new TextEncoder().encode(CONTEXT + this.state.sessionId);
      const key = await subtle.importKey("raw", this.#secret, "AES-GCM", false, ["decrypt"]);
      const algorithm = { name: "AES-GCM", iv: bytes.subarray(0, NONCE_SIZE), additionalData };
      const opened = await subtle.decrypt(algorithm, key, bytes.subarray(NONCE_SIZE));
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(opened);
    } catch {
      throw sealedInvalid();
    }
  }
}
