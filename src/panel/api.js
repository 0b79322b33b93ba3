/**
 * The gateway's API. Every request of the panel is made here, so that what all of them need (credentials one day, the
 * comparison of clocks today) has one place.
 */

/** Longest wait for an answer. The gateway itself waits 10 s for the sidecar where it has to. */
const ANSWER_TIMEOUT_MILLIS = 30_000;
/** Longest wait for what the gateway has at hand. One that takes longer does not answer. */
const READY_TIMEOUT_MILLIS = 6_000;
/** An answer that took longer does not tell at which moment of that time the gateway wrote its `Date`. */
const PROMPT_MILLIS = 1_000;
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
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** No answer came. Whether the request arrived is not known. */
export class Unanswered extends Error {}

let clockOffsetMillis = 0;

/** The gateway's time, in milliseconds: countdowns are about its clock, not about the browser's. */
export const gatewayNow = () => Date.now() + clockOffsetMillis;

function compareClocks(response, sentAt) {
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (Number.isNaN(date) || Date.now() - sentAt > PROMPT_MILLIS) return;
  const offset = date + 500 - (sentAt + Date.now()) / 2;
  clockOffsetMillis = Math.abs(offset) > CLOCK_TOLERANCE_MILLIS ? offset : 0;
}

async function send(method, path, { headers = {}, body, signal }) {
  const sentAt = Date.now();
  let response;
  try {
    response = await fetch(path, { method, headers, body, signal, cache: "no-store", credentials: "same-origin" });
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

async function call(method, path, { json, headers = {}, timeoutMillis = ANSWER_TIMEOUT_MILLIS } = {}) {
  const body = json === undefined ? undefined : JSON.stringify(json);
  const sent = { Accept: "application/json", ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const response = await send(method, path, {
    headers: sent,
    body,
    signal: AbortSignal.timeout(timeoutMillis),
  });
  try {
    return { status: response.status, body: await response.json() };
  } catch {
    throw new Unanswered("The answer was cut off.");
  }
}

const get = async (path) => (await call("GET", path)).body;

export const resources = async () => (await get("/v1/resources")).resources;

/** One resource. Makes the gateway ask the sidecar. */
export const resource = (alias) => get(`/v1/resources/${encodeURIComponent(alias)}`);

/** A page of a resource's timeline, newest first. */
export function timeline(alias, pageToken) {
  const query = new URLSearchParams({ pageSize: "200" });
  if (pageToken) query.set("pageToken", pageToken);
  return get(`/v1/resources/${encodeURIComponent(alias)}/timeline?${query}`);
}

/** A page of jobs, newest first. */
export function jobs({ resource: alias, states = [], pageSize = 50, pageToken }) {
  const query = new URLSearchParams({ pageSize: String(pageSize) });
  if (alias) query.set("resource", alias);
  for (const state of states) query.append("state", state);
  if (pageToken) query.set("pageToken", pageToken);
  return get(`/v1/jobs?${query}`);
}

export const job = (id) => get(`/v1/jobs/${encodeURIComponent(id)}`);

export const cancel = async (id) => (await call("POST", `/v1/jobs/${encodeURIComponent(id)}/cancel`)).body;

export const plan = async (wish) => (await call("POST", "/v1/plans", { json: wish })).body;

/** Submits a job. Sent again with the same key, it is the same job. */
export async function submit(wish, idempotencyKey) {
  const { status, body } = await call("POST", "/v1/jobs", {
    json: wish,
    headers: { "Idempotency-Key": idempotencyKey },
  });
  return { job: body, joined: status === 200 };
}

export const readiness = async () => (await call("GET", "/readyz", { timeoutMillis: READY_TIMEOUT_MILLIS })).body;

/** Opens the stream of all events. Nothing limits its life but `signal`. */
export function openEvents(lastEventId, signal) {
  const headers = { Accept: "text/event-stream" };
  if (lastEventId) headers["Last-Event-ID"] = lastEventId;
  return send("GET", "/v1/events", { headers, signal });
}

/** A new idempotency key. `crypto.randomUUID` is missing where the panel is not served over TLS or from this machine. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `panel-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
