/** What an element takes from the page around it, and does to it. */

/** The element's own language, else the document's, else the browser's, as far as there are texts in it. */
export function languageOf(element, locales) {
  const wanted = [element.getAttribute("lang"), document.documentElement.lang, ...navigator.languages];
  return wanted.map((tag) => tag?.slice(0, 2).toLowerCase()).find((tag) => tag in locales) ?? "en";
}

/** Go where the server said, replacing this page in the history. Only over HTTP: never `javascript:` and its like. */
export function follow(target) {
  const url = new URL(target, location.href);
  if (url.protocol === "https:" || url.protocol === "http:") location.replace(url);
}

/** Headline and explanation of a failure, in a language's texts. */
export function explain(text, { code, message, retryAfter }) {
  const [headline, detail] = text.errors[code] ?? text.errors.other;
  // The host app's refusal is written for the user; every other message is for developers.
  if (code === "login_refused") return [headline, message];
  if (!(code in text.errors)) return [headline, `${detail} (${code})`];
  return [headline, retryAfter ? `${detail} ${text.waitSeconds(retryAfter)}` : detail];
}
