/**
 * Requests to the gateway. Each of the panel goes through here, so that what all of them need, the key, its refusal and the
 * comparison of clocks, has one place.
 */

import { compareClocks } from "./clock.js";
import { isAboutKey, lacking, lock, session, settle } from "./session.js";

/** Longest wait for an answer. The gateway itself waits 10 s for the sidecar where it has to. */
const ANSWER_TIMEOUT_MILLIS = 30_000;
/** How often something that came too fast is asked for again, if the gateway says when, and the longest wait for it. */
const TOO_FAST_AGAIN = 2;
const TOO_FAST_MAX_MILLIS = 5_000;

/** The gateway refused: a problem document. */
export class Problem extends Error {
  constructor(status, document, retryAfterSeconds) {
    super(document.detail ?? document.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = document.code ?? "";
    this.title = document.title ?? `The gateway answered with ${status}`;
    this.detail = document.detail ?? "";
    this.errors = Array.isArray(document.errors) ? document.errors : [];
    this.sidecar = document.sidecar ?? null;
    this.job = document.job ?? null;
    this.jobs = Array.isArray(document.jobs) ? document.jobs : [];
    this.reason = document.reason ?? null;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** No answer came. Whether the request arrived is not known. */
export class Unanswered extends Error {}

async function send(method, path, { headers = {}, body, signal, key = session.key }) {
  const sentAt = Date.now();
  let response;
  const shown = key === null ? headers : { ...headers, Authorization: `Bearer ${key}` };
  try {
    response = await fetch(path, { method, headers: shown, body, signal, cache: "no-store", credentials: "same-origin" });
  } catch (error) {
    throw new Unanswered(
      error.name === "TimeoutError" ? "The gateway did not answer in time." : "The gateway cannot be reached.",
    );
  }
  compareClocks(response, sentAt);
  if (response.ok) return response;
  let document = {};
  try {
    document = await response.json();
  } catch {
    // Something in between answered, not the gateway.
  }
  throw new Problem(response.status, document, Number(response.headers.get("Retry-After")) || null);
}

/** Set while a key is made. The first one of a gateway closes it, and belongs to this tab before it is refused anything. */
let making = null;

/** A key is made until `made` is over. */
export const keepMaking = (made) => (making = made.then(() => {}, () => {}));

/** `send` with the key of this session, which ends if the gateway does not want it. */
async function admitted(method, path, options) {
  const { identity } = session;
  for (let refusals = 0; ; refusals += 1) {
    const shown = session.key;
    try {
      return await send(method, path, { ...options, key: shown });
    } catch (error) {
      const again = refusals < TOO_FAST_AGAIN && error.code === "rate_limited" && method === "GET";
      if (again && error.retryAfterSeconds) {
        await pause(Math.min(error.retryAfterSeconds * 1000, TOO_FAST_MAX_MILLIS) * (1 + Math.random() * 0.5));
        continue;
      }
      if (!isAboutKey(error)) throw error;
      if (!isMaking(method, path)) await making;
      // Another key may have taken the place of the refused one meanwhile.
      const isSame = session.identity === identity;
      if (isSame && session.key !== shown) continue;
      if (isSame) lock(error);
      throw error;
    }
  }
}

export const KEYS = "/v1/keys";

const isMaking = (method, path) => method === "POST" && path === KEYS;

const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

/** The result of `ask`, unless the session has ended meanwhile: then it never comes. */
async function inSession(ask) {
  const { identity } = session;
  const isOver = () => session.identity !== identity;
  const never = () => new Promise(() => {});
  try {
    const answer = await ask();
    if (isOver()) return never();
    settle();
    return answer;
  } catch (error) {
    if (isOver()) return never();
    settle();
    throw error;
  }
}

/** Asks for something in this session: `{status, body}`. */
export const call = (method, path, options) => inSession(() => exchange(admitted, method, path, options));

/** The same for what belongs to no session: a refusal ends none. `key` is shown instead of that of the session. */
export const callOutside = (method, path, options) => exchange(send, method, path, options);

/** Opens an answer that goes on. Nothing limits its life but `signal`. */
export const openStream = (path, { headers, signal }) => inSession(() => admitted("GET", path, { headers, signal }));

async function exchange(via, method, path, { json, headers = {}, timeoutMillis = ANSWER_TIMEOUT_MILLIS, ...more } = {}) {
  const body = json === undefined ? undefined : JSON.stringify(json);
  const sent = { Accept: "application/json", ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const response = await via(method, path, {
    headers: sent,
    body,
    signal: AbortSignal.timeout(timeoutMillis),
    ...more,
  });
  if (response.status === 204) return { status: 204, body: null };
  try {
    return { status: response.status, body: await response.json() };
  } catch {
    throw new Unanswered("The answer was cut off.");
  }
}

/** What takes a key of some scope: notes if ours lacks it. */
export async function withScope(scope, ask) {
  try {
    return await ask();
  } catch (error) {
    if (error.code === "insufficient_scope") lacking(scope);
    throw error;
  }
}
