/**
 * The gateway's API. Every request of the panel is made here, so that what all of them need, the key and the comparison of
 * clocks, has one place.
 */

import { adopt, isAboutKey, lacking, lock, session, settle } from "./session.js";

/** Longest wait for an answer. The gateway itself waits 10 s for the sidecar where it has to. */
const ANSWER_TIMEOUT_MILLIS = 30_000;
/** Longest wait for what the gateway has at hand. One that takes longer does not answer. */
const READY_TIMEOUT_MILLIS = 6_000;
/** An answer that took longer does not tell at which moment of that time the gateway wrote its `Date`. */
const PROMPT_MILLIS = 1_000;
/** How often something that came too fast is asked for again, if the gateway says when, and the longest wait for it. */
const TOO_FAST_AGAIN = 2;
const TOO_FAST_MAX_MILLIS = 5_000;
/** A clock that differs by less is taken for right: the gateway's `Date` has whole seconds. */
const CLOCK_TOLERANCE_MILLIS = 2_000;

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
    this.reason = document.reason ?? null;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** No answer came. Whether the request arrived is not known. */
export class Unanswered extends Error {}

let clockOffsetMillis = 0;
/** The clock of a demonstration, which is faster than others: what it showed when, and how many times as fast it goes. */
let fastClock = null;

/** The gateway's time, in milliseconds: countdowns are about its clock, not about the browser's. */
export const gatewayNow = () =>
  fastClock ? fastClock.shown + (Date.now() - fastClock.readAt) * fastClock.speed : Date.now() + clockOffsetMillis;

/** How many times as fast as the browser's clock that time goes. */
export const clockSpeed = () => fastClock?.speed ?? 1;

function compareClocks(response, sentAt) {
  const told = response.headers.get("Demonstration-Clock");
  if (told) {
    const [shown, speed] = told.split(" ").map(Number);
    fastClock = { shown, speed, readAt: (sentAt + Date.now()) / 2 };
    return;
  }
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (Number.isNaN(date) || Date.now() - sentAt > PROMPT_MILLIS) return;
  const offset = date + 500 - (sentAt + Date.now()) / 2;
  clockOffsetMillis = Math.abs(offset) > CLOCK_TOLERANCE_MILLIS ? offset : 0;
}

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

const KEYS = "/v1/keys";

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

const call = (method, path, options) => inSession(() => exchange(admitted, method, path, options));

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
async function withScope(scope, ask) {
  try {
    return await ask();
  } catch (error) {
    if (error.code === "insufficient_scope") lacking(scope);
    throw error;
  }
}

const get = async (path) => (await call("GET", path)).body;

/** All resources, page by page. */
export async function resources() {
  const all = [];
  let pageToken = null;
  do {
    const query = pageToken ? `?${new URLSearchParams({ pageToken })}` : "";
    const page = await get(`/v1/resources${query}`);
    all.push(...page.resources);
    pageToken = page.nextPageToken;
  } while (pageToken);
  return all;
}

/** One resource. Makes the gateway ask the sidecar. */
export const resource = (alias) => get(`/v1/resources/${encodeURIComponent(alias)}`);

/** A page of a resource's timeline, newest first. */
export function timeline(alias, pageToken) {
  const query = new URLSearchParams({ pageSize: "200" });
  if (pageToken) query.set("pageToken", pageToken);
  return get(`/v1/resources/${encodeURIComponent(alias)}/timeline?${query}`);
}

const standing = (alias, what) => `/v1/resources/${encodeURIComponent(alias)}/${what}`;

/** The text of a resource's policy. */
export const policy = (alias) => get(standing(alias, "policy"));

/** What is ahead of a resource with a policy, for a day. */
export const outlook = (alias) => get(standing(alias, "outlook?hours=24"));

/** The values of a metric since `from`, one for each `step` that has any, both in milliseconds. */
export async function series(alias, { name, from, step }) {
  const query = new URLSearchParams({ from: new Date(from).toISOString(), stepSeconds: String(step / 1000) });
  return (await get(standing(alias, `metrics/${encodeURIComponent(name)}?${query}`))).points;
}

/** A page of what a resource's policy decided, newest first. */
export function decisions(alias, pageToken) {
  const query = new URLSearchParams({ pageSize: "50" });
  if (pageToken) query.set("pageToken", pageToken);
  return get(standing(alias, `decisions?${query}`));
}

/** The claims on a resource, oldest first. */
export const claims = async (alias) => (await get(standing(alias, "claims"))).claims;

const scaling = (method, path, json, headers) =>
  withScope("scale", async () => (await call(method, path, { json, headers })).body);

/** Puts a hold on a resource, in the place of the one that is there. */
export const putHold = (alias, wish) => scaling("PUT", standing(alias, "hold"), wish);

export const endHold = (alias) => scaling("DELETE", standing(alias, "hold"));

/** Makes a claim. Sent again with the same key, it is the same claim. */
export const makeClaim = (alias, wish, idempotencyKey) =>
  scaling("POST", standing(alias, "claims"), wish, { "Idempotency-Key": idempotencyKey });

export const renewClaim = ({ resource: alias, id }, wish) => scaling("POST", standing(alias, `claims/${id}/renew`), wish);

export const endClaim = ({ resource: alias, id }) => scaling("DELETE", standing(alias, `claims/${id}`));

/** A page of jobs, newest first. */
export function jobs({ resource: alias, states = [], pageSize = 50, pageToken }) {
  const query = new URLSearchParams({ pageSize: String(pageSize) });
  if (alias) query.set("resource", alias);
  for (const state of states) query.append("state", state);
  if (pageToken) query.set("pageToken", pageToken);
  return get(`/v1/jobs?${query}`);
}

export const job = (id) => get(`/v1/jobs/${encodeURIComponent(id)}`);

export const cancel = (id) =>
  withScope("scale", async () => (await call("POST", `/v1/jobs/${encodeURIComponent(id)}/cancel`)).body);

export const plan = async (wish) => (await call("POST", "/v1/plans", { json: wish })).body;

/** Submits a job. Sent again with the same key, it is the same job. */
export async function submit(wish, idempotencyKey) {
  const { status, body } = await withScope("scale", () => call("POST", "/v1/jobs", {
    json: wish,
    headers: { "Idempotency-Key": idempotencyKey },
  }));
  return { job: body, joined: status === 200 };
}

/** Needs no key. Only with a key does the answer tell of the sidecar, and a key that is not good is ignored. */
export const readiness = async () =>
  (await exchange(send, "GET", "/readyz", { timeoutMillis: READY_TIMEOUT_MILLIS })).body;

/** Opens the stream of all events. Nothing limits its life but `signal`. */
export function openEvents(lastEventId, signal) {
  const headers = { Accept: "text/event-stream" };
  if (lastEventId) headers["Last-Event-ID"] = lastEventId;
  return inSession(() => admitted("GET", "/v1/events", { headers, signal }));
}

/** Who asks, and what is allowed. */
export const whoami = () => get("/v1/whoami");

/** Asks for what every key allows with one that was just entered. It ends no session. */
export const tryKey = (key) => exchange(send, "GET", "/v1/resources", { key });

export const keys = () => withScope("admin", async () => (await get(KEYS)).keys);

export const revokeKey = (id) =>
  withScope("admin", async () => (await call("POST", `${KEYS}/${encodeURIComponent(id)}/revoke`)).body);

/**
 * Makes a key. If no key was needed before and this one changes that, the tab goes on with it; the answer says so as
 * `isOurs`.
 */
export function createKey(wish) {
  const ask = async () => {
    const { body } = await call("POST", KEYS, { json: wish });
    if (session.key !== null) return { ...body, isOurs: false };
    adopt(body.secret);
    const { identity } = session;
    const isOurs = await tryKey(null).then(() => false, () => true);
    // A gateway that was told to stay open needs none.
    if (!isOurs && session.identity === identity) adopt(null);
    return { ...body, isOurs };
  };
  const made = withScope("admin", ask);
  making = made.then(() => {}, () => {});
  return made;
}

/** A page of attempts to change something, newest first. */
export function audit(pageToken) {
  const query = new URLSearchParams({ pageSize: "50" });
  if (pageToken) query.set("pageToken", pageToken);
  return withScope("admin", () => get(`/v1/audit?${query}`));
}

/** A new one. `crypto.randomUUID` is missing where the panel is not served over TLS or from this machine. */
export function newIdempotencyKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `panel-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
