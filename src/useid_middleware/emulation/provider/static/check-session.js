// Answers an application that asks whether its session at the provider changed (OpenID Connect Session Management 1.0
// §3.3). A message is "client_id session_state"; the answer is unchanged, changed or error.

const cookie = `${document.currentScript.dataset.cookie}=`;

function browserState() {
  const pair = document.cookie.split("; ").find((part) => part.startsWith(cookie));
  return pair ? pair.slice(cookie.length) : "";
}

async function sessionState(clientId, origin, salt) {
  const text = new TextEncoder().encode(`${clientId} ${origin} ${browserState()} ${salt}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex}.${salt}`;
}

async function judge(data, origin) {
  if (typeof data !== "string") return "error";
  const space = data.lastIndexOf(" ");
  const [clientId, claimed] = [data.slice(0, space), data.slice(space + 1)];
  const dot = claimed.lastIndexOf(".");
  if (space < 1 || dot < 1) return "error";
  const expected = await sessionState(clientId, origin, claimed.slice(dot + 1));
  return claimed === expected ? "unchanged" : "changed";
}

addEventListener("message", async (event) => {
  if (event.source === null || event.origin === "null") return;
  event.source.postMessage(await judge(event.data, event.origin), event.origin);
});
