/** The list of an account's passkeys as `<useid-passkey mode="manage">` shows it: what each is, to be renamed and deleted. */

import { h, icon, say } from "./view.js";

const LONGEST_NAME = 100;
const ROAMING = Object.freeze(["usb", "nfc", "ble", "smart-card"]);

export class PasskeyList {
  #list = h("ul", { class: "passkeys", part: "passkeys" });
  #none = h("p", { class: "detail" });
  #on;
  #shown = {};

  /** `rename(id, name)` and `remove(id)` are called for what the user has asked and confirmed. */
  constructor({ rename, remove }) {
    this.#on = { rename, remove };
    this.element = h("div", { class: "passkeys-place" }, this.#list, this.#none);
  }

  /** Show `passkeys` (null while unknown). Rows are kept, with what is being typed in them, until the passkeys change. */
  render({ passkeys, text, language, busy }) {
    const before = this.#shown;
    this.#shown = { passkeys, text, language };
    if (before.passkeys !== passkeys || before.language !== language) {
      this.#list.replaceChildren(...(passkeys ?? []).map((passkey) => this.#row(passkey)));
    }
    for (const button of this.#list.querySelectorAll("button")) button.setAttribute("aria-disabled", String(busy));
    say(this.#none, passkeys?.length === 0 ? text.none : "");
    this.#list.hidden = !passkeys?.length;
    this.#none.hidden = passkeys?.length !== 0;
  }

  /** Let the user name a passkey. */
  edit(id) {
    const row = this.#find(id);
    const { text } = this.#shown;
    if (!row) return;
    const passkey = this.#shown.passkeys.find((each) => each.id === id);
    const input = h("input", {
      class: "field", id: "name", part: "field", type: "text", maxlength: String(LONGEST_NAME), required: true,
      autocomplete: "off", spellcheck: false, value: passkey.label,
    });
    const save = h("button", { class: "button small", part: "button", type: "submit" }, text.save);
    const cancel = h("button", { class: "button quiet small", part: "button", type: "button" }, text.cancel);
    const form = h(
      "form", { class: "passkey-form", noValidate: true },
      h("label", { for: "name" }, text.name), input, h("div", { class: "actions" }, save, cancel),
    );
    const leave = () => {
      row.replaceWith(this.#row(passkey));
      this.focus(id);
    };
    cancel.addEventListener("click", leave);
    form.addEventListener("keydown", (event) => event.key === "Escape" && leave());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const name = input.value.trim();
      if (name === passkey.label) leave();
      else if (name) this.#on.rename(id, name);
      else input.focus();
    });
    // One form at a time, so that its label has one field.
    for (const open of this.#list.querySelectorAll("form")) open.querySelector("[type=button]").click();
    row.replaceChildren(form);
    input.select();
    input.focus();
  }

  /** Put the focus on a passkey's first button, if it is still there. */
  focus(id) {
    this.#find(id)?.querySelector("button").focus();
  }

  #find(id) {
    return [...this.#list.children].find((row) => row.dataset.id === id);
  }

  #row(passkey) {
    const { text, language } = this.#shown;
    const name = passkey.label || text.unnamed;
    const properties = { class: "button quiet small", part: "button", type: "button" };
    const rename = h("button", { ...properties, "aria-label": text.renameThat(name) }, text.rename);
    const remove = h("button", { ...properties, "aria-label": text.removeThat(name) }, text.remove);
    const unlessBusy = (action) => () => rename.getAttribute("aria-disabled") !== "true" && action();
    rename.addEventListener("click", unlessBusy(() => this.edit(passkey.id)));
    remove.addEventListener("click", unlessBusy(() => this.#confirm(passkey, name)));
    return h(
      "li", { "data-id": passkey.id },
      h("div", { class: "mark" }, icon("passkey")),
      h(
        "div", { class: "about" },
        h("strong", {}, name), h("p", { class: "fine" }, kind(passkey, text)), moments(passkey, text, language),
      ),
      h("div", { class: "actions" }, rename, remove),
    );
  }

  /** Deleting asks first. The dialog takes the focus itself and not to a button, and gives it back when it closes. */
  #confirm(passkey, name) {
    const { text, passkeys } = this.#shown;
    const only = passkeys.length === 1 ? [h("p", { class: "detail" }, h("strong", {}, text.removeOnly))] : [];
    const remove = h("button", { class: "button danger", part: "button", type: "button" }, text.remove);
    const keep = h("button", { class: "button quiet", part: "button", type: "button" }, text.keep);
    const dialog = h(
      "dialog",
      {
        class: "notice card", part: "card", role: "alertdialog", tabindex: "-1",
        "aria-labelledby": "question", "aria-describedby": "consequence",
      },
      h("h2", { class: "title", id: "question", part: "title" }, text.removeQuestion(name)),
      h("div", { id: "consequence" }, h("p", { class: "detail" }, text.removeConsequence), ...only),
      h("div", { class: "actions" }, remove, keep),
    );
    remove.addEventListener("click", () => {
      dialog.close();
      this.#on.remove(passkey.id);
    });
    keep.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    this.element.append(dialog);
    dialog.showModal();
    dialog.focus();
  }
}

/** What holds it, in words: a thing on a key ring, an account that is everywhere, or this one device. */
function kind({ transports, isBackedUp, isDiscoverable }, text) {
  const roams = transports?.length > 0 && transports.every((each) => ROAMING.includes(each));
  const what = roams ? text.securityKey : isBackedUp ? text.synced : text.oneDevice;
  return isDiscoverable === false ? `${what} · ${text.notListed}` : what;
}

function moments({ createdAt, lastUsedAt }, text, language) {
  const used = lastUsedAt ? [text.used, " ", moment(lastUsedAt, language)] : [text.unused];
  return h("p", { class: "fine" }, text.added, " ", moment(createdAt, language), " · ", ...used);
}

function moment(instant, language) {
  const date = new Date(instant);
  if (Number.isNaN(date.getTime())) return String(instant);
  // British and American users write dates differently, and read the same texts.
  const locale = navigator.languages.find((tag) => tag.startsWith(language)) ?? language;
  return h("time", { datetime: instant }, new Intl.DateTimeFormat(locale, { dateStyle: "medium" }).format(date));
}
