/**
 * What the panel knows. `live.js` and the views' actions write it through the functions here; views only read it, and
 * are drawn again when it changes.
 */

import { gatewayNow } from "./clock.js";
import { History } from "./history.js";
import { Ledger } from "./ledger.js";
import * as words from "./words.js";

/** Most jobs that a list shows. Older ones are found with a filter. */
export const MAX_LISTED = 2_000;
/** Most jobs kept. Beyond it finished ones are forgotten, this many at a time; the gateway has them still. */
const MAX_JOBS = 2_200;
const FORGOTTEN_AT_A_TIME = 200;

/** Knowing nothing. */
const nothing = () => ({
  /** By alias; `null` until they were read. */
  resources: null,
  /** What looks at single resources found. They need not be on the list. */
  looked: new Map(),
  /** By alias: the newest reading that anything told of, and why a look since then found none. */
  readings: new Map(),
  /** By alias: how often its jobs changed since the page was loaded, or others changed its capacity. */
  changeCounts: new Map(),
  resourcesProblem: null,
  /** All jobs seen, by id. */
  jobs: new Map(),
  /** Ids of jobs that the gateway does not have. */
  missing: new Set(),
  jobProblem: null,
  /** Groups by id, ids of groups that the gateway does not have, and why the one that is looked at is not heard of. */
  groups: new Map(),
  missingGroups: new Set(),
  groupProblem: null,
  /** How often something was heard that may have changed a group. */
  groupNews: 0,
  /** By id: what the policy does not do because of a job, as its submission or its cancel was answered. */
  notes: new Map(),
  /** The list that is shown: of the jobs above, those that match and are not older than its last page. */
  list: newList({ resource: "", states: [] }),
  histories: new Map(),
  /** By alias: what policies decided, as far as it was asked for, and the newest decision that anything told of. */
  ledgers: new Map(),
  decided: new Map(),
  /** By alias: `{claims, problem}`, and the text of the policy as `{revision, text}`. */
  claims: new Map(),
  policyTexts: new Map(),
  /** By alias, what is ahead: `{outlook, problem, basis, askedAt, isLoading}`. */
  outlooks: new Map(),
  /** By alias, the values of the metric that its plot shows: `{name, step, from, points, problem, askedAt, isLoading}`. */
  series: new Map(),
  /** Aliases being read by request of the user, and the last such reading that failed: `{alias, error}`. */
  reading: new Set(),
  lookProblem: null,
  /** How the stream of events does. `lostAt` is set while it is not open and was. */
  connection: { phase: "connecting", retryAt: null, reason: null, lostAt: null, wasOpen: false, mentioned: false },
  readiness: null,
  /** Whether the gateway is silent although the stream is open. */
  isSilent: false,
  /** What is read aloud, and what is said about a job once it was submitted: `{id, text}`. */
  announcement: "",
  flash: null,
  /** A refusal that came when its page was gone: `{title, detail}`. */
  lateRefusal: null,
});

export const store = { route: { name: "resources", params: { need: "" } }, ...nothing() };

/** Forgets all that the gateway has told. */
export function forgetAll() {
  Object.assign(store, nothing());
  changed();
}

/** A list of which nothing was read yet. `cut` is set once jobs of it were forgotten. */
export function newList({ resource, states }) {
  const unread = { loaded: false, loading: false, problem: null, nextPageToken: null, oldest: null, cut: false };
  return { resource, states, ...unread };
}

let listener = () => {};
let scheduled = false;

/** `draw` is called once per frame in which something changed. */
export const onChange = (draw) => (listener = draw);

export function changed() {
  if (scheduled) return;
  scheduled = true;
  // A page that is not visible has no frames, but its title still tells how a job does.
  const later = document.hidden ? (draw) => setTimeout(draw, 200) : requestAnimationFrame;
  later(() => {
    scheduled = false;
    listener();
  });
}

export function announce(text) {
  store.announcement = text;
  changed();
}

export const isOver = (job) => job.state !== "queued" && job.state !== "running";

/** Takes a job in, unless a later version of it is known. */
export function putJob(job) {
  if (job.note) store.notes.set(job.id, job.note);
  const known = store.jobs.get(job.id);
  if (known && known.version >= job.version) return;
  store.jobs.set(job.id, job);
  store.missing.delete(job.id);
  if (known && known.state !== job.state && store.route.params.id === job.id) {
    store.announcement = words.news(job);
  }
  if (store.jobs.size > MAX_JOBS) forgetOldest();
  changed();
}

export const isGroupOver = ({ state }) => ["succeeded", "failed", "canceled"].includes(state);

/** Takes a group in, unless a later version of it is known. */
export function putGroup(group) {
  const known = store.groups.get(group.id);
  if (known && known.version >= group.version) return;
  store.groups.set(group.id, group);
  store.missingGroups.delete(group.id);
  if (known && known.state !== group.state && store.route.params.id === group.id) store.announcement = words.groupNews(group);
  changed();
}

/**
 * Takes in what an event about a job means for its resource: whether it is at work, waits, or is over. The list, which is read a
 * moment later, may come when a short job is over again.
 */
export function putPlace({ id, resource: alias, state }) {
  for (const resources of [store.resources, store.looked]) {
    const resource = resources?.get(alias);
    if (!resource) continue;
    const others = resource.queue.filter((queued) => queued !== id);
    const activeJob = state === "running" ? id : resource.activeJob === id ? null : resource.activeJob;
    const queue = state !== "queued" ? others : resource.queue.includes(id) ? resource.queue : [...others, id];
    resources.set(alias, { ...resource, activeJob, queue });
  }
}

/** Forgets `jobs` as far as nothing newer was heard of them, but not the one that is looked at, which is read by itself. */
export function forgetJobs(jobs) {
  for (const [id, job] of jobs) {
    if (store.jobs.get(id) === job && id !== store.route.params.id) store.jobs.delete(id);
  }
  changed();
}

/** Forgets jobs that are not listed at present, and only then the oldest of those that are. */
function forgetOldest() {
  const finished = [...store.jobs.values()].filter((job) => isOver(job) && job.id !== store.route.params.id);
  const isListed = new Map(finished.map((job) => [job.id, matches(job, store.list)]));
  finished.sort((a, b) => isListed.get(a.id) - isListed.get(b.id) || a.createdAt.localeCompare(b.createdAt));
  for (const { id } of finished.slice(0, FORGOTTEN_AT_A_TIME)) {
    store.jobs.delete(id);
    store.list.cut ||= isListed.get(id);
  }
}

/** A resource as the gateway tells it, with what depends on the moment of the answer made independent of it. */
const timed = (resource) => ({ ...resource, cooldownEndsAt: gatewayNow() + resource.cooldownRemainingSeconds * 1000 });

const readAt = ({ lastObservation }) => lastObservation?.receivedAt ?? "";

const UNREAD = { status: null, capacity: null, lastObservation: null, readFailure: null };

/**
 * Takes in a reading from any source, unless there is a newer one. The list tells only what the gateway read for
 * jobs since its start, looks only what they found, and timelines only what differs from the reading before.
 */
function putReading(alias, { status, capacity, lastObservation, readFailure }) {
  const told = { status, capacity, lastObservation, readFailure };
  const known = store.readings.get(alias) ?? UNREAD;
  // Where reading failed, what was read before is still the best there is.
  const best = readAt(told) > readAt(known) ? told : readFailure ? { ...known, readFailure } : known;
  store.readings.set(alias, best);
  for (const resources of [store.resources, store.looked]) {
    const resource = resources?.get(alias);
    if (resource) resources.set(alias, { ...resource, ...best });
  }
}

/** Takes in an entry of a timeline, whether just made or read as the newest of its kind. */
export function putEntry(alias, { kind, at, status, capacity }) {
  if (kind !== "reading") return;
  putReading(alias, { status, capacity, lastObservation: { receivedAt: at, observedAt: null }, readFailure: null });
}

export function putResources(list) {
  for (const resource of list) putReading(resource.resource, resource);
  const known = (resource) => ({
    ...timed(resource),
    ...store.readings.get(resource.resource),
    hasReading: resource.lastObservation !== null,
  });
  store.resources = new Map(list.map((resource) => [resource.resource, known(resource)]));
  store.resourcesProblem = null;
  changed();
}

/** Takes in what a look at a resource found. */
export function putResource(resource) {
  const alias = resource.resource;
  if (resource.claims) store.claims.set(alias, { claims: resource.claims, problem: null });
  if (resource.policy?.lastDecision) putDecision(resource.policy.lastDecision);
  putReading(alias, resource);
  const looked = { ...timed(resource), ...store.readings.get(alias), hasReading: true };
  store.looked.set(alias, looked);
  if (store.resources?.has(alias)) store.resources.set(alias, looked);
  changed();
}

/** A resource, on the list or not; null if it was not read yet. */
export const resourceOf = (alias) => store.resources?.get(alias) ?? store.looked.get(alias) ?? null;

export function history(alias) {
  let found = store.histories.get(alias);
  if (!found) store.histories.set(alias, (found = new History()));
  return found;
}

export function ledger(alias) {
  let found = store.ledgers.get(alias);
  if (!found) store.ledgers.set(alias, (found = new Ledger()));
  return found;
}

/** Takes in a decision from any source, unless there is a newer one. */
export function putDecision(decision) {
  const known = store.decided.get(decision.resource);
  if (!known || decision.lastAt >= known.lastAt) store.decided.set(decision.resource, decision);
  // One that was not shown yet is read when it is.
  store.ledgers.get(decision.resource)?.add(decision);
  changed();
}

/** The policy of a resource has ended: a later one decides anew. */
export function forgetDecision(alias) {
  store.decided.delete(alias);
  changed();
}

/** Takes in a hold that was just put; null if it was ended. */
export function putHold(alias, hold) {
  for (const resources of [store.resources, store.looked]) {
    const resource = resources?.get(alias);
    if (resource) resources.set(alias, { ...resource, hold });
  }
  changed();
}

/**
 * The policy of a resource with the newest that anything told of it: its sentence, and the decision as a whole, which lists do
 * not tell; null if there is no policy. What one that is off decided before says nothing about the present.
 */
export function policyOf(resource) {
  const policy = resource?.policy ?? null;
  if (policy === null) return null;
  if (policy.mode === "off") return { ...policy, decision: null };
  const decision = store.decided.get(resource.resource) ?? null;
  if (decision === null || decision.lastAt < (policy.decidedAt ?? "")) return { ...policy, decision };
  return { ...policy, decidedAt: decision.lastAt, detail: decision.detail, decision };
}

/** The text of the policy of a resource, if it is known in that revision. */
export function policyText(alias, revision) {
  const known = store.policyTexts.get(alias);
  return known?.revision === revision ? known.text : null;
}

/** The hold on a resource; null if there is none, or if it has ended since it was told of. */
export const holdOn = ({ hold }) => (hold && Date.parse(hold.until) > gatewayNow() ? hold : null);

const matches = (job, { resource, states }) =>
  (!resource || job.resource === resource) && (states.length === 0 || states.includes(job.state));

const newestFirst = (a, b) => b.createdAt.localeCompare(a.createdAt) || b.id.localeCompare(a.id);

/** The jobs of the list, newest first. */
export function listedJobs() {
  const { list } = store;
  const shown = [...store.jobs.values()].filter(
    (job) => matches(job, list) && (!list.nextPageToken || job.createdAt >= list.oldest),
  );
  const isCut = list.cut || shown.length > MAX_LISTED || (shown.length === MAX_LISTED && list.nextPageToken !== null);
  return { jobs: shown.sort(newestFirst).slice(0, MAX_LISTED), isCut };
}
