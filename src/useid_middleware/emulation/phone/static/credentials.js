// Passkeys in IndexedDB. Private keys are kept as non-extractable CryptoKeys: scripts can use them, and never read them.

import { PhoneError } from "./protocol.js";

const STORE = "credentials";

/**
 * All passkeys: `{id, rpId, userHandle, userName, userDisplayName, signCount, isDiscoverable, createdAt, publicKey,
 * privateKey, prfKey}`; `id` is base64url, `userHandle` and `publicKey` (a raw point) are bytes, `createdAt` milliseconds.
 */
export function listCredentials() {
  return transact("readonly", (store, done) => {
    store.getAll().onsuccess = ({ target }) => done(target.result);
  });
}

/** Keep a passkey; a discoverable one takes the place of the account's former one. */
export function keepCredential(credential) {
  return transact("readwrite", (store, done) => {
    store.openCursor().onsuccess = ({ target: { result: cursor } }) => {
      if (!cursor) {
        store.put(credential);
        done();
        return;
      }
      if (cursor.value.isDiscoverable && credential.isDiscoverable && sameAccount(cursor.value, credential)) cursor.delete();
      cursor.continue();
    };
  });
}

/** Count a signature before it is made, in one transaction, so that no two windows count alike; returns the passkey. */
export function countSignature(id) {
  return transact("readwrite", (store, done) => {
    store.get(id).onsuccess = ({ target: { result: held } }) => {
      if (!held) {
        done(null);
        return;
      }
      const counted = { ...held, signCount: Math.min(held.signCount + 1, 0xffffffff) };
      store.put(counted);
      done(counted);
    };
  });
}

/** Forget a passkey. */
export function forgetCredential(id) {
  return transact("readwrite", (store, done) => {
    store.delete(id);
    done();
  });
}

function sameAccount(one, other) {
  const handle = ({ userHandle }) => userHandle.join();
  return one.rpId === other.rpId && handle(one) === handle(other);
}

/** Run `work` in a transaction: what it hands to `done` is returned once everything is written. */
async function transact(mode, work) {
  let database;
  try {
    database = await open();
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      let result;
      work(transaction.objectStore(STORE), (value) => {
        result = value;
      });
      transaction.oncomplete = () => resolve(result);
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
    // A database of its own: that of the enrolled keys stays as it is.
    const request = indexedDB.open("useid-demo-phone-passkeys", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
