/** The gateway's API: one function for each request that the panel makes. */

import { KEYS, call, callOutside, keepMaking, openStream, withScope } from "./request.js";
import { adopt, session } from "./session.js";

/** Longest wait for what the gateway has at hand. One that takes longer does not answer. */
const READY_TIMEOUT_MILLIS = 6_000;

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

function pageOf({ resource: alias, states = [], pageToken }) {
  const query = new URLSearchParams({ pageSize: "50" });
  if (alias) query.set("resource", alias);
  for (const state of states) query.append("state", state);
  if (pageToken) query.set("pageToken", pageToken);
  return query;
}

/** A page of jobs, newest first. */
export const jobs = (filter) => get(`/v1/jobs?${pageOf(filter)}`);

export const job = (id) => get(`/v1/jobs/${encodeURIComponent(id)}`);

export const cancel = (id) =>
  withScope("scale", async () => (await call("POST", `/v1/jobs/${encodeURIComponent(id)}/cancel`)).body);

export const plan = async (wish) => (await call("POST", "/v1/plans", { json: wish })).body;

async function submitted(path, wish, idempotencyKey) {
  const { status, body } = await withScope("scale", () =>
    call("POST", path, { json: wish, headers: { "Idempotency-Key": idempotencyKey } }));
  return { accepted: body, joined: status === 200 };
}

/** Submits a job. Sent again with the same key, it is the same job. */
export const submit = (wish, idempotencyKey) => submitted("/v1/jobs", wish, idempotencyKey);

/** A page of groups, newest first. */
export const groups = (filter) => get(`/v1/groups?${pageOf(filter)}`);

const groupPath = (id) => `/v1/groups/${encodeURIComponent(id)}`;

export const group = (id) => get(groupPath(id));

export const cancelGroup = (id) => scaling("POST", `${groupPath(id)}/cancel`);

export const planGroup = async (wish) => (await call("POST", "/v1/groups/plan", { json: wish })).body;

/** Submits a group. Sent again with the same key, it is the same group. */
export const submitGroup = (wish, idempotencyKey) => submitted("/v1/groups", wish, idempotencyKey);

/** Needs no key. Only with a key does the answer tell of the sidecar, and a key that is not good is ignored. */
export const readiness = async () =>
  (await callOutside("GET", "/readyz", { timeoutMillis: READY_TIMEOUT_MILLIS })).body;

function openAt(path, lastEventId, signal) {
  const headers = { Accept: "text/event-stream" };
  if (lastEventId) headers["Last-Event-ID"] = lastEventId;
  return openStream(path, { headers, signal });
}

/** Opens the stream of all events. Nothing limits its life but `signal`. */
export const openEvents = (lastEventId, signal) => openAt("/v1/events", lastEventId, signal);

/** Opens the stream of a group. */
export const openGroupEvents = (id, lastEventId, signal) => openAt(`${groupPath(id)}/events`, lastEventId, signal);

/** Who asks, and what is allowed. */
export const whoami = () => get("/v1/whoami");

/** Asks for what every key allows with one that was just entered. It ends no session. */
export const tryKey = (key) => callOutside("GET", "/v1/resources", { key });

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
  keepMaking(made);
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
