/**
 * The desktop's side of the device switch, without a DOM: what to show, and when.
 *
 *   const auth = new QRAuth({ server: "/auth" });
 *   auth.addEventListener("state", () => render(auth.state));
 *   auth.addEventListener("claimed", (event) => location.assign(event.detail.redirectTo));
 *   await auth.initSession();
 *
 * `state` is frozen and replaced as a whole: {status, qrData, sessionId, error, expiresAt, codeRequired, attemptsLeft, frame,
 * busy}. `error` is null or {code, message, retryAfter}; `code` is the server's own or one of network, server_unavailable,
 * invalid_response, connection_lost, already_claimed, too_many_codes, link_too_long; of a bound login also those of bound.js,
 * and binding_refused. The wire is docs/reference/device-switch.md.
 *
 * Where the server wants a login to be bound (assurance L2), `qrData` ends with the widget's public key, in its fragment. In
 * status `authenticate` a click must call `auth.authenticate()`.
 */

import { Binding } from "./bound.js";
import { Failure } from "./request.js";
import { LINK, TRANSITIONS, WaitingLogin } from "./waiting-login.js";

export { TRANSITIONS };

/** The assurance of logins that the server wants to be bound. */
const BOUND = "L2";
const STORED = Object.freeze({
  tana_session_token: "sessionToken", tana_user_id: "userId", tana_username: "username", tana_token_expiry: "expiresAt",
});

export class QRAuth extends WaitingLogin {
  /**
   * Options are those of all logins, and: `appName`; `storage: "tana"` keeps a bearer token in localStorage under the names
   * of the flow page, by default nothing is kept; `localStorage` can be replaced.
   */
  constructor(options = {}) {
    super({ appName: null, storage: null, localStorage: null, ...options });
  }

  async begin() {
    const { returnUrl, appName } = this.options;
    const body = { ...(appName && { appName }), ...(returnUrl && { returnUrl }) };
    const answer = await this.request("POST", "/session/create", body);
    const { sessionId, qrData, expiresAt, expiresIn, assurance, refreshOrigins } = answer;
    if (!LINK.test(qrData)) throw new Failure("invalid_response", "the answer to create lacks qrData");
    const begun = { sessionId, qrData, expiresAt, expiresIn, frame: /[?&]frame=([^&#]*)/.exec(qrData)?.[1] ?? null };
    if (assurance !== BOUND) return begun;
    const binding = await Binding.of(this.options, refreshOrigins);
    return { ...begun, binding, qrData: `${qrData}#key=${binding.publicKey}` };
  }

  async complete(snapshot, body) {
    const answer = await super.complete(snapshot, body);
    this.#keep(answer);
    return answer;
  }

  /** Put a new frame into the link, in front of the key. */
  turn(frame) {
    if (typeof frame !== "string" || !/^[\w-]+$/.test(frame) || frame === this.state.frame) return;
    this.change({ frame, qrData: this.state.qrData.replace(/([?&]frame=)[^&#]*/, `$1${frame}`) });
  }

  #keep(answer) {
    if (this.options.storage !== "tana" || !answer.sessionToken) return;
    try {
      const storage = this.options.localStorage ?? globalThis.localStorage;
      for (const [key, member] of Object.entries(STORED)) storage.setItem(key, answer[member]);
    } catch {
      // Storage may be full or forbidden; the login cookie works without it.
    }
  }
}
