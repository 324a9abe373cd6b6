/**
 * Puts the login with an ID card into a page of another site: a frame, behind this script or where `data-target` says.
 *
 *   <script src="https://auth.example/auth/embed.js" data-tenant="shop" data-tc-token-url="https://shop.example/eid/tctoken"
 *     async></script>
 *
 * - `data-tenant`: the site's name in the settings, where the origin of this page must be registered.
 * - `data-tc-token-url`: of this login; without it the site's first. `data-target`: a selector; the frame is put inside.
 * - `data-lang`: `en` or `de`; otherwise this page's language. `data-theme`: `light`, `dark` or `auto` (as the system has
 *   it); otherwise light, unless this page's `color-scheme` has dark.
 *
 * The script's element tells what happens: `useid-state` with {status, mode, code}; `useid-redirect` and `useid-back` with
 * {url} before the page goes there, which `preventDefault()` stops.
 */

(() => {
  "use strict";

  const TITLES = { en: "Log in with your ID card", de: "Mit dem Ausweis anmelden" };
  const HIGHEST = 4000;

  const script = document.currentScript;
  const { tenant = "", tcTokenUrl = "", target = "", lang = "", theme = "" } = script.dataset;
  const spoken = (lang || document.documentElement.lang || navigator.language).slice(0, 2).toLowerCase();
  const language = Object.hasOwn(TITLES, spoken) ? spoken : "en";
  const schemes = [
    getComputedStyle(document.documentElement).colorScheme,
    document.querySelector('meta[name="color-scheme"]')?.content,
  ];

  const address = new URL("widget", script.src);
  address.search = new URLSearchParams({
    id: tenant,
    origin: location.origin,
    ...(tcTokenUrl && { tcTokenUrl: new URL(tcTokenUrl, location.href).href }),
    lang: language,
    theme: theme || (schemes.some((names) => names?.includes("dark")) ? "auto" : "light"),
  });

  const frame = document.createElement("iframe");
  frame.title = TITLES[language];
  frame.allow = "clipboard-write; publickey-credentials-get";
  frame.referrerPolicy = "no-referrer";
  Object.assign(frame.style, { display: "block", width: "100%", height: "40rem", border: "0" });
  frame.src = address.href;

  const emit = (name, detail) => script.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, cancelable: true }));

  const isWebAddress = (text) => {
    if (typeof text !== "string" || !URL.canParse(text)) return false;
    const { protocol, hostname, username, password } = new URL(text);
    const loopback = /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
    return (protocol === "https:" || (protocol === "http:" && loopback)) && username === "" && password === "";
  };

  const leave = (name, url) => {
    if (isWebAddress(url) && emit(name, { url })) location.assign(url);
  };

  const handlers = new Map([
    ["useid:height", ({ height }) => {
      if (Number.isFinite(height)) frame.style.height = `${Math.min(Math.max(height, 0), HIGHEST)}px`;
    }],
    ["useid:state", ({ status, mode, code }) => emit("useid-state", { status, mode, code })],
    ["useid:redirect", ({ url }) => leave("useid-redirect", url)],
    ["useid:back", ({ url }) => leave("useid-back", url)],
  ]);

  window.addEventListener("message", ({ origin, source, data }) => {
    if (origin !== address.origin || source !== frame.contentWindow || typeof data !== "object") return;
    handlers.get(data?.type)?.(data);
  });

  const place = () => {
    if (target === "") script.after(frame);
    else document.querySelector(target)?.replaceChildren(frame);
  };

  // Loaded with `async`, the script may be ahead of the place it is to fill.
  if (target === "" || document.readyState !== "loading" || document.querySelector(target)) place();
  else document.addEventListener("DOMContentLoaded", place);
})();
