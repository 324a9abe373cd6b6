/**
 * The page in the frame that embed.js makes: tells the page around it what it needs, and tells nobody else.
 *
 * Messages are objects with a `type`: useid:height {height} in CSS pixels, useid:state {status, mode, code},
 * useid:redirect {url} and useid:back {url}. None is listened to. The origin they go to comes from the server, which has
 * checked that it is registered, and is the only one that may frame this page.
 */

import { APPROVED_MS } from "./useid-login.js";
import "./useid-eid.js";

const widget = document.querySelector("useid-eid");
const { parentOrigin } = widget.dataset;
const tell = (message) => window.parent.postMessage(message, parentOrigin);

widget.addEventListener("useid-state", ({ detail: { status, mode, error } }) => {
  // Links stay here: they hold the widget's secret, or its key.
  tell({ type: "useid:state", status, mode, code: error?.code ?? null });
});
widget.addEventListener("useid-claimed", (event) => {
  event.preventDefault();
  setTimeout(() => tell({ type: "useid:redirect", url: event.detail.redirectTo }), APPROVED_MS);
});
widget.addEventListener("useid-back", (event) => {
  event.preventDefault();
  tell({ type: "useid:back", url: event.detail.url });
});

const page = document.documentElement;
new ResizeObserver(() => tell({ type: "useid:height", height: Math.ceil(page.getBoundingClientRect().height) })).observe(page);
