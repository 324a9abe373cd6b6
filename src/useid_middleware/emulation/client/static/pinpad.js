// The pad: digits by pointer or by keyboard, shown as dots. What was typed is handed over once and forgotten.

const field = document.getElementById("digits");
const dots = document.getElementById("dots");
const pad = document.getElementById("pad");
let wanted = 6;

/** Make the keys; `texts` names the one that deletes. `onChange` is called whenever a digit comes or goes. */
export function preparePad(texts, onChange) {
  pad.setAttribute("aria-label", texts.padName);
  for (const key of ["1", "2", "3", "4", "5", "6", "7", "8", "9", "", "0", "⌫"]) {
    if (!key) {
      pad.append(document.createElement("span"));
      continue;
    }
    const button = Object.assign(document.createElement("button"), { type: "button", className: "key", textContent: key });
    if (key === "⌫") button.setAttribute("aria-label", texts.deleteDigit);
    button.addEventListener("click", () => {
      press(key);
      onChange();
    });
    pad.append(button);
  }
  field.addEventListener("input", () => {
    draw();
    onChange();
  });
}

/** Ask for so many digits. */
export function ask(digits) {
  wanted = digits;
  field.maxLength = digits;
  clear();
}

/** What was typed if it is complete, and then forgotten here; else an empty text. */
export function takeDigits() {
  if (field.value.length !== wanted) return "";
  const { value } = field;
  clear();
  return value;
}

/** Put the caret where digits are typed. */
export function focusPad() {
  field.focus({ preventScroll: true });
}

function clear() {
  field.value = "";
  draw();
}

function press(key) {
  field.value = key === "⌫" ? field.value.slice(0, -1) : (field.value + key).slice(0, wanted);
  draw();
}

function draw() {
  const digits = field.value.replace(/\D/g, "").slice(0, wanted);
  if (digits !== field.value) field.value = digits;
  dots.replaceChildren(
    ...Array.from({ length: wanted }, (_, place) =>
      Object.assign(document.createElement("i"), { className: place < digits.length ? "full" : "" }),
    ),
  );
}
