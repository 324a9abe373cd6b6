// What a link wants of this phone. Nothing here is judged that the client judges itself.

const CLIENTS = ["eid://127.0.0.1:24727/eID-Client", "http://127.0.0.1:24727/eID-Client", "http://localhost:24727/eID-Client"];

/** A link as `{client}`, for the eID client, or as `{page}`, an address for the phone's browser; null for anything else. */
export function readLink(text) {
  const link = text.trim();
  if (CLIENTS.some((start) => link.startsWith(`${start}?`))) return { client: link };
  try {
    const { protocol, href } = new URL(link);
    return ["https:", "http:"].includes(protocol) ? { page: href } : null;
  } catch {
    return null;
  }
}

/** The link in this page's own address: `#link=…`, `?link=…`, or the parameters of a link for a client on this computer. */
export function linkInAddress({ search, hash }) {
  const [query, fragment] = [new URLSearchParams(search), new URLSearchParams(hash.slice(1))];
  if (query.has("tcTokenURL")) return `${CLIENTS[0]}${search}${hash}`;
  return fragment.get("link") ?? query.get("link") ?? "";
}
