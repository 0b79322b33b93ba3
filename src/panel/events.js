/**
 * A stream of server-sent events that never gives up. `EventSource` is not used: it cannot send credentials, it gives up
 * for good on an answer like 503, and it does not notice a connection that has gone silent.
 */

/** The gateway sends a heartbeat every 15 s. Three of them missing is a dead connection. */
const SILENCE_MILLIS = 45_000;
/** First wait before connecting again, unless the gateway sets another with `retry:`. */
const RETRY_MILLIS = 500;
/** Longest wait before connecting again: the page may be in view. */
const MAX_RETRY_MILLIS = 10_000;
/** Longest line kept while it is incomplete. A job is at most some hundred kilobytes. */
const MAX_PENDING_CHARS = 16 * 1024 * 1024;

/** Cuts text, as it arrives, into events. */
export class EventParser {
  #pending = "";
  #type = "";
  #data = [];
  #id;

  constructor(onEvent, onRetry) {
    this.onEvent = onEvent;
    this.onRetry = onRetry;
  }

  push(text) {
    this.#pending += text;
    if (this.#pending.length > MAX_PENDING_CHARS) throw new Error("an event is too long");
    const lines = this.#pending.split(/\r\n|\n|\r(?=[^])/);
    this.#pending = lines.pop();
    for (const line of lines) this.#line(line);
  }

  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#type = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.onRetry(Number(value));
  }

  #dispatch() {
    const event = { type: this.#type || "message", data: this.#data.join("\n"), id: this.#id };
    const isEvent = this.#data.length > 0 || this.#id !== undefined;
    this.#type = "";
    this.#data = [];
    this.#id = undefined;
    if (isEvent) this.onEvent(event);
  }
}

/**
 * Keeps a stream open. `open(lastEventId, signal)` connects, `onEvent(event)` gets what comes, `onEnd(reason)` why the
 * gateway ends it, and `onState` is told `{phase, retryAt, reason}` with a phase of `connecting`, `open`, `waiting`, or
 * `stopped`.
 */
export class EventStream {
  #lastEventId;
  #retryMillis = RETRY_MILLIS;
  #failures = 0;
  #running = false;
  #connection = null;
  #wake = null;

  constructor({ open, onEvent, onEnd, onState }) {
    this.open = open;
    this.onEvent = onEvent;
    this.onEnd = onEnd;
    this.onState = onState;
  }

  start() {
    if (this.#running) return this.retryNow();
    this.#running = true;
    this.#run();
  }

  stop() {
    this.#running = false;
    this.#connection?.abort();
    this.#wake?.();
  }

  /** Ends the wait before the next attempt. */
  retryNow() {
    this.#wake?.();
  }

  async #run() {
    while (this.#running) {
      this.onState({ phase: "connecting" });
      const { finished, reason, waitMillis } = await this.#connect();
      if (finished) this.#running = false;
      if (!this.#running) break;
      const wait = waitMillis ?? this.#backOff();
      this.onState({ phase: "waiting", retryAt: Date.now() + wait, reason });
      await this.#sleep(wait);
    }
    this.onState({ phase: "stopped" });
  }

  /** One connection, from its beginning to its end. */
  async #connect() {
    const connection = (this.#connection = new AbortController());
    let watchdog;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => connection.abort(), SILENCE_MILLIS);
    };
    let reason = null;
    let waitMillis;
    const parser = new EventParser(
      (event) => {
        if (event.type === "ready") {
          this.#failures = 0;
          this.onState({ phase: "open" });
        }
        if (event.type === "end") {
          const end = JSON.parse(event.data);
          reason = end.detail;
          this.onEnd?.(end.reason);
        } else this.onEvent(event);
        // After the event was taken: one that was not is asked for again.
        if (event.id !== undefined) this.#lastEventId = event.id;
      },
      (millis) => (this.#retryMillis = Math.min(millis, MAX_RETRY_MILLIS)),
    );
    try {
      alive();
      const response = await this.open(this.#lastEventId, connection.signal);
      if (response.status === 204) return { finished: true };
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        alive();
        parser.push(value);
      }
    } catch (error) {
      // A connection that was open breaks with words that only a browser understands.
      if (error.title) reason = `${error.title}. ${error.detail}`;
      if (error.retryAfterSeconds) waitMillis = Math.min(error.retryAfterSeconds * 1000, MAX_RETRY_MILLIS);
    } finally {
      clearTimeout(watchdog);
      connection.abort();
    }
    return { finished: false, reason, waitMillis };
  }

  /** Longer with every failure; never quite the same, so that many panels do not come back in the same moment. */
  #backOff() {
    const wait = Math.min(this.#retryMillis * 2 ** this.#failures, MAX_RETRY_MILLIS);
    this.#failures += 1;
    return wait * (0.75 + Math.random() * 0.5);
  }

  #sleep(millis) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, millis);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    }).finally(() => (this.#wake = null));
  }
}
