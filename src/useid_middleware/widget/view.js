/** What our elements are made of, and the card of `<useid-login>` and `<useid-eid>`. DOM methods alone: Trusted Types allow them. */

const SVG = "http://www.w3.org/2000/svg";

const PASSKEY = [
  "M9.5 4a3.7 3.7 0 1 1 0 7.4 3.7 3.7 0 0 1 0-7.4z", "M13 20H2.5v-1.6a5.4 5.4 0 0 1 5.4-5.4h3.4",
  "M17.5 10.5a3.2 3.2 0 0 1 1.2 6.2V20l-1.2 1.2L16 19.6l1.2-1.3-1.2-1.4a3.2 3.2 0 0 1 1.5-6.4z", "M17.5 13.3v.2",
];
const PHONE = ["M8 2.5h8a1.5 1.5 0 0 1 1.5 1.5v16a1.5 1.5 0 0 1-1.5 1.5H8A1.5 1.5 0 0 1 6.5 20V4A1.5 1.5 0 0 1 8 2.5z", "M9.3 12l2 2 3.4-4"];

/** 24 × 24 line drawings: by status, a card, a passkey. While waiting the QR code is shown, except for the moment of claiming. */
const ICONS = Object.freeze({
  loading: [],
  waiting: PHONE,
  scanned: PHONE,
  confirmed: PHONE,
  authenticate: PASSKEY,
  code: [],
  approved: ["M5 12.8l4.6 4.6L19.2 7.4"],
  rejected: ["M7 7l10 10", "M17 7L7 17"],
  expired: ["M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17z", "M12 7.5V12l3 2"],
  error: ["M12 4L2.8 19.5h18.4z", "M12 10v4.2", "M12 16.8v.2"],
  card: [
    "M4 5.5h16a1.5 1.5 0 0 1 1.5 1.5v10a1.5 1.5 0 0 1-1.5 1.5H4A1.5 1.5 0 0 1 2.5 17V7A1.5 1.5 0 0 1 4 5.5z",
    "M8.3 8.7a1.6 1.6 0 1 1 0 3.2 1.6 1.6 0 0 1 0-3.2z", "M5.6 15.5a2.7 2.7 0 0 1 5.4 0", "M14.2 9.5h4", "M14.2 12.5h4",
  ],
  passkey: PASSKEY,
  offline: ["M4 4l16 16", "M8.5 15.5a5 5 0 0 1 7 0", "M5.5 12.2a9.5 9.5 0 0 1 4-2.3", "M14.6 9.9a9.5 9.5 0 0 1 3.9 2.3", "M12 19v.1"],
});

/** An element with properties (`class`, `data-…` and `aria-…` become attributes) and children. */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** A drawing, decorative: the text beside it says the same. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  for (const line of ICONS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", line);
    path.setAttribute("pathLength", "1");
    svg.append(path);
  }
  return svg;
}

/** Set text only where it differs: a live region must not repeat itself. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** All parts of the card, by name. Built once; states only show, hide and fill them. */
export function build() {
  const parts = {
    title: h("h2", { class: "title", id: "title", part: "title" }),
    lead: h("p", { class: "lead" }),
    qr: h("div", { class: "qr", part: "qr" }),
    badge: h("div", { class: "badge", part: "badge" }),
    headline: h("strong", { class: "headline" }),
    detail: h("span", { class: "detail" }),
    failHeadline: h("strong", { class: "headline" }),
    failDetail: h("span", { class: "detail" }),
    timer: h("p", { class: "timer", role: "timer" }),
    announcer: h("p", { class: "unseen", role: "status" }),
    input: h("input", {
      class: "code-field", id: "code", part: "code", type: "text", inputmode: "numeric", autocomplete: "one-time-code",
      spellcheck: false, required: true, placeholder: "000 000", "aria-describedby": "code-error",
    }),
    codeLabel: h("label", { for: "code" }),
    codeError: h("p", { class: "code-error", id: "code-error", role: "alert" }),
    submit: h("button", { class: "button", part: "button", type: "submit" }),
    proceed: h("button", { class: "button", part: "button", type: "button" }),
    retry: h("button", { class: "button", part: "button", type: "button" }),
    open: h("a", { class: "button quiet", part: "button" }),
    copy: h("button", { class: "button quiet", part: "button", type: "button" }),
    helpSummary: h("summary"),
    helpText: h("p"),
    helpFrame: h("p"),
    link: h("code", { class: "link" }),
  };
  parts.stage = h("div", { class: "stage" }, parts.qr, parts.badge);
  parts.message = h("div", { class: "message", role: "status" }, parts.headline, parts.detail);
  parts.failure = h("div", { class: "message failure", role: "alert" }, parts.failHeadline, parts.failDetail);
  parts.form = h("form", { class: "code-form", noValidate: true }, parts.codeLabel, parts.input, parts.codeError, parts.submit);
  parts.help = h("details", { class: "help" }, parts.helpSummary, parts.helpText, parts.link, parts.helpFrame);
  parts.actions = h("div", { class: "actions" }, parts.open, parts.copy);
  parts.card = h(
    "section", { class: "card", part: "card", "aria-labelledby": "title", tabindex: "-1" },
    parts.title, parts.lead, parts.stage, h("div", {}, parts.message, parts.failure), parts.form,
    parts.proceed, parts.retry, parts.timer, parts.actions, parts.help, parts.announcer,
  );
  return parts;
}
