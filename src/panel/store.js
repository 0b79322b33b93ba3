/**
 * What the panel knows. `live.js` and the views' actions write it through the functions here; views only read it, and
 * are drawn again when it changes.
 */

import { gatewayNow } from "./api.js";
import { History } from "./history.js";

/** Most jobs kept. Beyond it the oldest finished ones are forgotten; the gateway has them still. */
const MAX_JOBS = 2_000;

export const store = {
  route: { name: "resources", params: {} },
  /** By alias; `null` until they were read. */
  resources: null,
  /** What looks at single resources found. They need not be on the list. */
  looked: new Map(),
  resourcesProblem: null,
  /** All jobs seen, by id. */
  jobs: new Map(),
  /** Ids of jobs that the gateway does not have. */
  missing: new Set(),
  jobProblem: null,
  /** The list that is shown: of the jobs above, those that match and are not older than its last page. */
  list: { resource: "", states: [], loaded: false, loading: false, problem: null, nextPageToken: null, oldest: null },
  histories: new Map(),
  /** Aliases being read by request of somebody, and the last such reading that failed: `{alias, error}`. */
  reading: new Set(),
  lookProblem: null,
  /** How the stream of events does. `lostAt` is set while it is not open and was. */
  connection: { phase: "connecting", retryAt: null, reason: null, lostAt: null, wasOpen: false, mentioned: false },
  readiness: null,
  /** What is read aloud, and what is said about a job once it was submitted: `{id, text}`. */
  announcement: "",
  flash: null,
};

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
  const known = store.jobs.get(job.id);
  if (known && known.version >= job.version) return;
  store.jobs.set(job.id, job);
  store.missing.delete(job.id);
  if (known && known.state !== job.state && store.route.params.id === job.id) {
    store.announcement = `The job is ${job.state}.`;
  }
  if (store.jobs.size > MAX_JOBS) forgetOldest();
  changed();
}

/** Forgets all jobs but the one that is looked at, which is read by itself. */
export function forgetJobs() {
  for (const id of store.jobs.keys()) if (id !== store.route.params.id) store.jobs.delete(id);
  changed();
}

function forgetOldest() {
  const finished = [...store.jobs.values()].filter((job) => isOver(job) && job.id !== store.route.params.id);
  finished.sort((a, b) => a.createdAt.localeCompare(b.createdAt));
  for (const job of finished.slice(0, MAX_JOBS / 10)) store.jobs.delete(job.id);
}

/** A resource as the gateway tells it, with what depends on the moment of the answer made independent of it. */
const timed = (resource) => ({ ...resource, cooldownEndsAt: gatewayNow() + resource.cooldownRemainingSeconds * 1000 });

const readAt = (resource) => resource.lastObservation?.receivedAt ?? "";

/** `listed` with what the last look at it found, if nothing newer is known. The list knows only of readings for jobs. */
function withLook(listed) {
  const looked = store.looked.get(listed.resource);
  if (!looked || readAt(looked) < readAt(listed)) return listed;
  const { status, capacity, lastObservation, readFailure } = looked;
  return { ...listed, status, capacity, lastObservation, readFailure };
}

/** `worker-2` before `worker-10`. */
const byAlias = new Intl.Collator("en", { numeric: true });

export function putResources(list) {
  list.sort((a, b) => byAlias.compare(a.resource, b.resource));
  store.resources = new Map(list.map((resource) => [resource.resource, withLook(timed(resource))]));
  store.resourcesProblem = null;
  changed();
}

/** Takes in what a look at a resource found. */
export function putResource(resource) {
  const before = resourceOf(resource.resource);
  // Where reading failed, what was read before is still the best there is.
  const last = resource.lastObservation
    ? {}
    : {
        status: before?.status ?? null,
        capacity: before?.capacity ?? null,
        lastObservation: before?.lastObservation ?? null,
      };
  const looked = { ...timed(resource), ...last };
  store.looked.set(resource.resource, looked);
  if (store.resources?.has(resource.resource)) store.resources.set(resource.resource, looked);
  changed();
}

/** What is known about a resource, on the list or not. */
export const resourceOf = (alias) => store.resources?.get(alias) ?? store.looked.get(alias) ?? null;

export function history(alias) {
  let found = store.histories.get(alias);
  if (!found) store.histories.set(alias, (found = new History()));
  return found;
}

const matches = (job, { resource, states }) =>
  (!resource || job.resource === resource) && (states.length === 0 || states.includes(job.state));

const newestFirst = (a, b) => b.createdAt.localeCompare(a.createdAt) || b.id.localeCompare(a.id);

/** The jobs of the list, newest first. */
export function listedJobs() {
  const { list } = store;
  const shown = [...store.jobs.values()].filter(
    (job) => matches(job, list) && (!list.nextPageToken || job.createdAt >= list.oldest),
  );
  return shown.sort(newestFirst);
}
