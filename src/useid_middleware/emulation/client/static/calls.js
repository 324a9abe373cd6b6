// Calls to the phone's own interface. Every failure has a code that the texts know, or that is shown as it is.

/** A call that failed: the interface's own code, or `network`. */
export class CallError extends Error {
  constructor(code, message = "") {
    super(message ? `${code}: ${message}` : code);
    this.code = code;
    this.detail = message;
  }
}

/** Call and return the JSON answer, or null for none. */
export async function call(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body && JSON.stringify(body),
      cache: "no-store",
    });
  } catch {
    throw new CallError("network");
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new CallError(answer.code ?? "network", answer.message ?? "");
  return answer;
}

/** Every state of a dialogue until it is over, each once. */
export async function* follow(id) {
  let version = 0;
  for (let failures = 0; ; ) {
    let view;
    try {
      view = await call("GET", `dialogues/${id}?after=${version}`);
      failures = 0;
    } catch (error) {
      failures += 1;
      if (error.code !== "network" || failures > 3) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500 * failures));
      continue;
    }
    if (view.version > version) yield view;
    if (view.outcome) return;
    version = view.version;
  }
}
