/** JSON calls to the server, and the ways in which they fail. */

/** Of answers of 500 and above, those that say more than that the server cannot answer at the moment. */
const LASTING = Object.freeze(["eservice_refused"]);

/**
 * Why something did not work. `code` is the server's own, or: network (no answer), server_unavailable (5xx),
 * invalid_response (not what the reference says). `retryAfter` is in seconds.
 */
export class Failure extends Error {
  constructor(code, message, { retryAfter = null, attemptsLeft = null } = {}) {
    super(message);
    Object.assign(this, { code, retryAfter, attemptsLeft });
  }

  /** Whether the same call may well succeed a little later. */
  get passing() {
    return ["network", "server_unavailable", "rate_limited", "invalid_response"].includes(this.code);
  }

  /** What a state shows of it. */
  get summary() {
    return Object.freeze({ code: this.code, message: this.message, retryAfter: this.retryAfter });
  }

  /** Anything thrown, as a Failure: an answer that trips the code reading it is not what the reference says. */
  static of(error) {
    return error instanceof Failure ? error : new Failure("invalid_response", error.message);
  }
}

/** Call and return the answer's JSON object, for 204 an empty one, or throw a Failure. `clock` brings setTimeout and clearTimeout. */
export async function call({ fetch, clock, timeout, signal }, method, url, body) {
  const ours = new AbortController();
  const abort = () => ours.abort();
  signal.addEventListener("abort", abort);
  const timer = clock.setTimeout(abort, timeout);
  let response;
  let text;
  try {
    response = await fetch(url, {
      method,
      signal: ours.signal,
      cache: "no-store",
      headers: { Accept: "application/json", ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
    text = await response.text();
  } catch (error) {
    throw new Failure("network", `no answer from the server: ${error.message}`);
  } finally {
    clock.clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
  return judge(response, parseObject(text));
}

/**
 * Call with `work` what gives a browser its cookie, one call of this origin's pages at a time: a browser without one that
 * begins two things at once is given two, keeps the later, and loses what it began with the other. Where browsers have no
 * locks (`navigator.locks`), or none for this page, that can happen.
 */
export async function alone({ locks, signal }, work) {
  let isOurTurn = false;
  try {
    return await locks.request("useid-browser", { signal }, () => {
      isOurTurn = true;
      return work();
    });
  } catch (error) {
    if (isOurTurn || signal.aborted) throw error;
    return work();
  }
}

/** The JSON object in `text`, or null. */
export function parseObject(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

function judge(response, answer) {
  if (response.status === 204) return {};
  if (response.ok && answer !== null) return answer;
  const retryAfter = Number(response.headers.get("Retry-After")) || null;
  const message = answer?.message ?? `the server answered ${response.status}`;
  if (response.status >= 500 && !LASTING.includes(answer?.code)) throw new Failure("server_unavailable", message, { retryAfter });
  if (typeof answer?.code !== "string") throw new Failure("invalid_response", message, { retryAfter });
  throw new Failure(answer.code, message, { retryAfter, attemptsLeft: answer.attemptsLeft ?? null });
}
