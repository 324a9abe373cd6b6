// Enrolled keys in IndexedDB. A private key is kept as a non-extractable CryptoKey: scripts can use it, and never read it.

import { PhoneError } from "./protocol.js";

const STORE = "keys";

/** All keys: `{server, username, appName, label, keyId, publicKey, privateKey}`, sorted by server and account. */
export function listKeys() {
  return transact("readonly", (store) => store.getAll());
}

/** Keep a key; it takes the place of an earlier key of the same account and server. */
export function keepKey(key) {
  return transact("readwrite", (store) => store.put(key));
}

/** Forget a key. */
export function forgetKey({ server, username }) {
  return transact("readwrite", (store) => store.delete([server, username]));
}

async function transact(mode, work) {
  let database;
  try {
    database = await open();
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } catch {
    throw new PhoneError("key_store_unavailable");
  } finally {
    database?.close();
  }
}

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("useid-demo-phone", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: ["server", "username"] });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
