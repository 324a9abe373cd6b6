/**
 * The page's side of a login with an ID card, without a DOM: what to show, and when.
 *
 *   const auth = new EIDAuth({ server: "/auth" });
 *   auth.addEventListener("state", () => render(auth.state));
 *   auth.addEventListener("claimed", (event) => location.assign(event.detail.redirectTo));
 *   await auth.initSession();
 *
 * `state` is that of QRAuth, and: `mode` is standard (the QR code opens a page on the phone, which starts a stock eID
 * client), integrated (the phone's client knows the widget and seals the refresh address for it) or same-device (the client
 * is on this device; there is no QR code); `clientUrl` and `loopbackUrl` start a client here. In same-device mode `approved`
 * means that the window which the client opened is logged in. Further codes of `error`: cancelled, client_failed,
 * document_refused, requirements_unmet; sealed_invalid, refresh_refused, insecure_page, link_too_long.
 *
 * In integrated mode `qrData` and `clientUrl` end with the widget's secret, in their fragment: it is drawn and shown, and
 * sent nowhere. The wire is docs/reference/eid.md.
 */

import { LONGEST } from "./qrcode.js";
import { Failure } from "./request.js";
import { LINK, WaitingLogin } from "./waiting-login.js";

const MODES = Object.freeze(["standard", "integrated", "same-device"]);
const LOOPBACK_CLIENT = "http://127.0.0.1:24727/eID-Client?";
const SECRET_SIZE = 32;
const NONCE_SIZE = 12;
const CONTEXT = "useid-refresh-v1\n";
const REASONS = Object.freeze({
  cancelled: "cancelled", failed: "client_failed", code: "too_many_codes",
  document: "document_refused", requirements: "requirements_unmet",
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
   * same-device on a phone, else `default`; `tenant` and `tcTokenUrl` for a site with an eID integration of its own. `phone()`, `crypto` and
   * `origin` (our page's) can be replaced.
   */
  constructor(options = {}) {
    super({
      mode: "auto",
      tenant: null,
      tcTokenUrl: null,
      phone: onPhone,
      crypto: globalThis.crypto,
      origin: globalThis.location?.origin,
      ...options,
    });
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
    if (mode === "integrated") {
      this.#refreshOrigins = Array.isArray(refreshOrigins) ? refreshOrigins : [];
      const fragment = this.#drawSecret();
      links.qrData += fragment;
      links.clientUrl = links.qrData;
    }
    if (mode !== "same-device" && new TextEncoder().encode(links.qrData).length > LONGEST) {
      throw new Failure("link_too_long", `a QR code holds ${LONGEST} bytes`);
    }
    return { sessionId, mode, expiresAt, expiresIn, ...links };
  }

  async complete(snapshot, body) {
    if (this.state.mode !== "integrated") return super.complete(snapshot, body);
    return { redirectTo: this.#checkTarget(await this.#open(snapshot.sealedRefreshUrl)) };
  }

  explain({ status, reason }) {
    const code = status === "rejected" && Object.hasOwn(REASONS, reason) ? REASONS[reason] : null;
    return code ? { error: new Failure(code, `the login was rejected: ${reason}`).summary } : {};
  }

  /** A new secret; returns the fragment that carries it. */
  #drawSecret() {
    const { crypto } = this.options;
    if (!crypto?.subtle) throw new Failure("insecure_page", "a browser decrypts on pages from https and localhost only");
    this.#secret = crypto.getRandomValues(new Uint8Array(SECRET_SIZE));
    return `#widgetSessionSecret=${encode(this.#secret)}`;
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
      throw new Failure("sealed_invalid", "what came from the phone was not sealed for this page");
    }
  }

  /** The address that the login leads to, if it may: over https (on this machine alone also http), at an expected origin. */
  #checkTarget(target) {
    const url = URL.canParse(target) ? new URL(target) : null;
    const secure = url?.protocol === "https:" || (isPlainLoopback(url) && isPlainLoopback(new URL(this.options.origin)));
    if (!secure || url.username !== "" || url.password !== "" || !this.#refreshOrigins.includes(url.origin)) {
      throw new Failure("refresh_refused", "the phone's client sent an address that this login must not lead to");
    }
    return url.href;
  }
}

function isPlainLoopback(url) {
  return url?.protocol === "http:" && /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
}

function encode(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Base64url without padding, in its one canonical spelling. */
function decode(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
  if (encode(bytes) !== text) throw new RangeError("not canonical base64url");
  return bytes;
}
