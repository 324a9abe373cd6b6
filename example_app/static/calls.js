// Calls to the plugin (docs/reference/device-switch.md), and small things that the pages share.

const SERVER = "/auth";

/** A call that failed; `code` is the server's own, or `network`. */
export class CallError extends Error {
  constructor(code, details = {}) {
    super(code);
    Object.assign(this, { code, details });
  }
}

/** Call and return the JSON answer (null for 204), or throw a CallError. Who is no longer logged in is sent to log in. */
export async function call(method, path, body) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  let response;
  try {
    response = await fetch(SERVER + path, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new CallError("network");
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  if (answer.code === "login_required") location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
  throw new CallError(answer.code ?? "other", answer);
}

/** The event stream of a path. */
export const follow = (path) => new EventSource(SERVER + path);

/** The element of `root` with `data-part="name"`. */
export const part = (root, name) => root.querySelector(`[data-part="${name}"]`);

/** The page's text for an error, with the attempts left where the server counts them. */
export function errorText(root, { code, details = {} }) {
  const texts = JSON.parse(root.dataset.errors);
  if (details.attemptsLeft === 0) return texts.too_many;
  const left = details.attemptsLeft ? ` ${texts.attempts.replace("{count}", details.attemptsLeft)}` : "";
  return (texts[code] ?? `${texts.other} (${code})`) + left;
}

/** Fill `element` with its own text, `{name}` replaced. */
export function fill(element, name, value) {
  element.textContent = element.dataset.text.replace(`{${name}}`, () => value);
}

// The page's language as the user's browser writes it: en-GB rather than en, where it is.
const { lang } = document.documentElement;
const locale = navigator.languages.find((tag) => tag.startsWith(lang)) ?? lang;
const format = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });

/** A time of the server in the user's own zone and language. */
export const localTime = (time) => format.format(new Date(time));

const phone = new BroadcastChannel("useid-demo-phone");

/** Hand a QR code's link to the demo phone's window: what a camera does, by a click. */
export const handOver = (qrData) => phone.postMessage({ qrData });
