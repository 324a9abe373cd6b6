// The account's sessions: list, end one, end all others.

import { call, errorText, fill, localTime, part } from "./calls.js";

const root = document.getElementById("sessions");
const others = part(root, "others");

function row(session) {
  const item = root.querySelector("template").content.firstElementChild.cloneNode(true);
  part(item, "browser").textContent = session.browser || "–";
  part(item, "acr").textContent = session.acr;
  part(item, "ip").textContent = session.ip;
  fill(part(item, "seen"), "time", localTime(session.lastSeenAt));
  part(item, session.current ? "end" : "current").remove();
  if (!session.current) part(item, "end").addEventListener("click", () => run(() => call("DELETE", `/sessions/${session.id}`)));
  return item;
}

async function run(step) {
  part(root, "alert").textContent = "";
  try {
    await step?.();
    const { sessions } = await call("GET", "/sessions");
    part(root, "rows").replaceChildren(...sessions.map(row));
    others.hidden = sessions.length < 2;
  } catch (error) {
    part(root, "alert").textContent = errorText(root, error);
  }
}

others.addEventListener("click", () => run(() => call("DELETE", "/sessions")));
run();
