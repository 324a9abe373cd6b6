/**
 * Follow one login: server-sent events as long as they come, asking where they do not.
 *
 * - The browser reconnects a broken stream by itself; where it gives up (an answer that is no stream), we open a new one.
 * - A stream without a word in `silence` ms (a proxy that buffers), or one that broke, is bridged by polling until it speaks.
 * - A stream silent for two and a half heartbeats is dead, whatever the browser believes, and is opened anew.
 * - Only when asking fails as well is the connection lost.
 */

import { Failure, parseObject } from "./request.js";

const CLOSED = 2;
const LONGEST_BACKOFF = 8;

export class Follower {
  #options;
  #source = null;
  #timers = new Map();
  #attempts = { poll: 0, open: 0 };
  #heard = false;
  #words = 0;
  #leaving = false;
  #closed = false;

  /**
   * `ask()` fetches the snapshot. What it learns is told to `snapshot(status)`, `frame(text)`, `lost()` and `failed(failure)`.
   * `clock` brings setTimeout and clearTimeout, `random` the jitter that keeps thousands from returning at once.
   */
  constructor({ url, ask, EventSource, clock, random, heartbeat, silence, pollEvery, on }) {
    this.#options = { url, ask, EventSource, clock, random, heartbeat, silence, pollEvery, on };
  }

  /** Open the stream, anew if there is one. */
  open() {
    if (this.#closed) return;
    this.#source?.close();
    this.#cancel("open");
    this.#heard = false;
    const source = new this.#options.EventSource(this.#options.url);
    this.#source = source;
    const { on } = this.#options;
    // Both are snapshots: `authenticate` is one that asks the page to do something.
    this.#listen(source, "status", (data) => on.snapshot(data));
    this.#listen(source, "authenticate", (data) => on.snapshot(data));
    this.#listen(source, "frame", (data) => on.frame(data.frame));
    this.#listen(source, "ping", () => {});
    // The server is there, but not what it reads from; the next snapshot comes when that is back.
    this.#listen(source, "away", () => on.lost());
    this.#listen(source, "bye", () => {
      this.#leaving = true;
    });
    source.onopen = () => {
      // The browser's own reconnect names the last event it saw, so the server may rightly have nothing to say. But frames
      // have been missed, and perhaps we called ourselves lost: ask once.
      if (this.#source !== source || !this.#heard) return;
      this.#hear();
      this.poll({ again: false });
    };
    source.onerror = () => {
      if (this.#source === source) this.#broken(source);
    };
    if (!this.#timers.has("poll")) this.#later("silence", this.#options.silence, () => this.poll());
    this.#watch();
  }

  /** Ask for the snapshot; `again`: and keep asking until the stream speaks. */
  async poll({ again = true } = {}) {
    if (this.#closed) return;
    const { on, ask, pollEvery } = this.#options;
    const words = this.#words;
    let wait = pollEvery;
    let snapshot;
    try {
      snapshot = await ask();
      this.#attempts.poll = 0;
    } catch (error) {
      if (this.#closed) return;
      const failure = Failure.of(error);
      if (!failure.passing) {
        on.failed(failure);
        return;
      }
      if (words !== this.#words) return;
      wait = failure.retryAfter ? 1000 * failure.retryAfter : this.#backOff("poll");
      again = true;
      on.lost();
    }
    if (this.#closed) return;
    // The stream may have spoken while we asked; then asking is over.
    if (again && words === this.#words) this.#later("poll", wait, () => this.poll());
    if (snapshot) on.snapshot(snapshot);
  }

  /** Let go of stream and timers, for good. */
  close() {
    this.#closed = true;
    this.#source?.close();
    this.#source = null;
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
  }

  #listen(source, name, handle) {
    source.addEventListener(name, (event) => {
      if (this.#source !== source) return;
      this.#hear();
      const data = parseObject(event.data);
      // One garbled event is not the end of the login: the snapshot tells the same.
      if (data === null) this.poll({ again: false });
      else handle(data);
    });
  }

  /** The stream works: stop asking, and watch it. */
  #hear() {
    this.#heard = true;
    this.#words += 1;
    this.#attempts = { poll: 0, open: 0 };
    this.#cancel("silence");
    this.#cancel("poll");
    this.#watch();
  }

  #watch() {
    this.#later("watchdog", 2.5 * this.#options.heartbeat, () => this.open());
  }

  #broken(source) {
    // After an orderly `bye` somebody is about to take over: give them a moment before asking.
    if (this.#leaving) this.#later("silence", this.#options.silence, () => this.poll());
    else if (!this.#timers.has("poll")) this.poll();
    if (!this.#leaving) this.#cancel("silence");
    this.#leaving = false;
    if (source.readyState === CLOSED) {
      this.#source = null;
      this.#later("open", this.#backOff("open"), () => this.open());
    }
  }

  /** pollEvery, then twice as long each time up to eight times, and up to half as much again by chance. */
  #backOff(what) {
    const factor = Math.min(2 ** this.#attempts[what], LONGEST_BACKOFF);
    this.#attempts[what] += 1;
    return this.#options.pollEvery * factor * (1 + this.#options.random() / 2);
  }

  #later(name, delay, action) {
    this.#cancel(name);
    const run = () => {
      this.#timers.delete(name);
      action();
    };
    this.#timers.set(name, this.#options.clock.setTimeout(run, delay));
  }

  #cancel(name) {
    this.#options.clock.clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}
