// Add a phone: offer, follow, confirm with the phone's code. List and revoke phones.

import { draw, encode } from "/auth/widget/qrcode.js";
import { CallError, call, errorText, fill, follow, handOver, localTime, part } from "./calls.js";

const enrol = document.getElementById("enrol");
const list = document.getElementById("phones");
const code = document.getElementById("code");
const codeError = document.getElementById("code-error");

/** The enrolment under way: {id, link, source, deadline, ticker, confirming}, or null. */
let current = null;

/** Show one step. The focus goes to what is to be done there: what had it is gone. */
function show(step) {
  for (const each of enrol.querySelectorAll("[data-step]")) each.hidden = each.dataset.step !== step;
  const shown = enrol.querySelector(`[data-step="${step}"]`);
  (step === "code" ? code : (shown.querySelector("[tabindex]") ?? part(shown, "add"))).focus();
}

function leave() {
  current?.source.close();
  clearInterval(current?.ticker);
  current = null;
}

function fail(error) {
  leave();
  part(enrol, "failure").textContent = errorText(enrol, error);
  show("failed");
}

async function offer() {
  leave();
  try {
    const { enrolmentId: id, qrData: link, expiresIn } = await call("POST", "/devices/enrol", {});
    const qr = part(enrol, "qr");
    qr.replaceChildren(draw(document, encode(link), qr.dataset.label));
    part(enrol, "link").value = link;
    const source = follow(`/devices/enrol/${id}/events`);
    source.addEventListener("status", ({ data }) => react(JSON.parse(data)));
    // A browser reconnects by itself, unless the answer was no stream: then this enrolment is lost to us.
    source.addEventListener("error", () => source.readyState === EventSource.CLOSED && current?.id === id && look(id));
    current = { id, link, source, deadline: performance.now() + 1000 * expiresIn, ticker: setInterval(countDown, 1000) };
    countDown();
    show("scan");
  } catch (error) {
    fail(error);
  }
}

async function look(id) {
  try {
    react(await call("GET", `/devices/enrol/${id}`));
  } catch (error) {
    fail(error);
  }
}

function react({ status, label }) {
  if (current === null) return;
  if (status === "proved" && enrol.querySelector('[data-step="code"]').hidden) {
    fill(part(enrol, "code-title"), "label", label);
    code.value = "";
    say("");
    show("code");
  } else if (status === "confirmed" && !current.confirming) {
    leave();
    fill(part(enrol, "done-title"), "label", label);
    show("done");
    refresh();
  } else if (status === "expired") {
    fail(new CallError("session_expired"));
  } else if (status === "rejected") {
    fail(new CallError("code_wrong", { attemptsLeft: 0 }));
  }
}

function countDown() {
  const seconds = Math.max(0, Math.ceil((current.deadline - performance.now()) / 1000));
  fill(part(enrol, "timer"), "time", `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`);
}

function say(text) {
  codeError.textContent = text;
  code.setAttribute("aria-invalid", String(text !== ""));
}

const digits = (text) => text.replace(/\D/g, "").slice(0, 6);

/** Show the code as the phone does, 3 + 3, and keep the caret behind the digit it was behind. */
function group() {
  const before = digits(code.value.slice(0, code.selectionStart)).length;
  const value = digits(code.value);
  code.value = value.length > 3 ? `${value.slice(0, 3)} ${value.slice(3)}` : value;
  const caret = before > 3 ? before + 1 : before;
  code.setSelectionRange(caret, caret);
}

async function confirmCode(event) {
  event.preventDefault();
  if (digits(code.value).length < 6) {
    say(errorText(enrol, new CallError("code_incomplete")));
    code.focus();
    return;
  }
  const ours = current;
  // Our own confirmation is told by its answer, and only then is the phone in the list; any other window's by the stream.
  ours.confirming = true;
  try {
    const { label } = await call("POST", `/devices/enrol/${ours.id}/confirm`, { code: digits(code.value) });
    ours.confirming = false;
    react({ status: "confirmed", label });
  } catch (error) {
    ours.confirming = false;
    // A code is worth another try, and so is a server that was away; anything else ends this enrolment.
    const again = error.code === "code_wrong" ? error.details.attemptsLeft > 0 : ["network", "rate_limited"].includes(error.code);
    if (!again) {
      fail(error);
      return;
    }
    say(errorText(enrol, error));
    code.select();
  }
}

async function copy({ currentTarget: button }) {
  const field = part(enrol, "link");
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    button.textContent = button.dataset.done;
  } catch {
    field.focus(); // Without a clipboard the link is there, selected.
  }
}

function row(device) {
  const item = list.querySelector("template").content.firstElementChild.cloneNode(true);
  const revoke = part(item, "revoke");
  part(item, "label").textContent = device.label;
  fill(part(item, "added"), "time", localTime(device.createdAt));
  if (device.lastUsedAt) fill(part(item, "used"), "time", localTime(device.lastUsedAt));
  revoke.setAttribute("aria-label", `${revoke.textContent}: ${device.label}`);
  revoke.addEventListener("click", async () => {
    if (!confirm(revoke.dataset.text.replace("{label}", () => device.label))) return;
    if (!(await refresh(() => call("DELETE", `/devices/${device.id}`)))) return;
    fill(part(list, "note"), "label", device.label);
    document.getElementById("phones-title").focus();
  });
  return item;
}

/** Show the phones as they are after `step`; whether that worked. */
async function refresh(step) {
  part(list, "alert").textContent = "";
  try {
    await step?.();
    const { devices } = await call("GET", "/devices");
    part(list, "rows").replaceChildren(...devices.map(row));
    part(list, "none").hidden = devices.length > 0;
    return true;
  } catch (error) {
    part(list, "alert").textContent = errorText(enrol, error);
    return false;
  }
}

for (const button of enrol.querySelectorAll('[data-part="add"]')) button.addEventListener("click", offer);
for (const button of enrol.querySelectorAll('[data-part="cancel"]')) {
  button.addEventListener("click", () => {
    leave();
    show("start");
  });
}
part(enrol, "qr").addEventListener("click", () => handOver(current.link));
part(enrol, "copy").addEventListener("click", copy);
code.addEventListener("input", group);
enrol.querySelector("form").addEventListener("submit", confirmCode);
refresh();
