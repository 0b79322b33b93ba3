/**
 * Keeps the store true: the stream of events, what is read again because of it, and what no event tells.
 *
 * Jobs and timelines come over the stream. Resources are listed again, which the sidecar does not notice, shortly after
 * an event about one. The sidecar itself is asked only where somebody looks at a single resource.
 */

import * as api from "./api.js";
import { EventStream } from "./events.js";
import { changed, forgetJobs, history, putJob, putResource, putResources, resourceOf, store } from "./store.js";

/** Events come in bursts; the list is read once after each. */
const RELIST_AFTER_MILLIS = 250;
/** No event tells whether the sidecar answers. The gateway knows without asking it. */
const READINESS_EVERY_MILLIS = 15_000;
/** How often a resource that is looked at, and has no job that has it read anyway, is read. */
const LOOK_EVERY_MILLIS = 30_000;
/** How long a page that nobody sees keeps its stream. Browsers allow six connections to a gateway, for all pages. */
const KEEP_HIDDEN_MILLIS = 60_000;
/** A connection that comes back sooner was not worth a word. */
const MENTION_AFTER_MILLIS = 1_000;
/** Most resources whose timelines are shown at a time on one page, and that are read because they never were. */
export const MAX_PLOTS = 24;

const stream = new EventStream({
  open: api.openEvents,
  onEvent: take,
  onState({ phase, retryAt = null, reason }) {
    const before = store.connection;
    const isOpen = phase === "open";
    // A stream that was let go of is not lost.
    const isLost = !isOpen && phase !== "stopped";
    if (isOpen && before.mentioned && before.wasOpen) store.announcement = "Connected to the gateway again.";
    store.connection = {
      phase,
      retryAt,
      reason: (phase === "connecting" ? before.reason : reason) ?? null,
      lostAt: isLost ? (before.lostAt ?? Date.now()) : null,
      wasOpen: before.wasOpen || isOpen,
      mentioned: isLost && before.mentioned,
    };
    if (isLost) setTimeout(mention, MENTION_AFTER_MILLIS);
    // Where there are no events there may still be answers.
    if (phase === "waiting" && !store.list.loaded) reload(false);
    changed();
  },
});

function mention() {
  const { connection } = store;
  if (connection.lostAt === null || connection.mentioned || Date.now() - connection.lostAt < MENTION_AFTER_MILLIS)
    return;
  connection.mentioned = true;
  changed();
}

function take({ type, data }) {
  if (type === "ready") return reload(JSON.parse(data).resumed);
  if (type === "job") {
    const job = JSON.parse(data);
    putJob(job);
    relistSoon();
  }
  if (type === "timeline") {
    const { resource, entry } = JSON.parse(data);
    // One that nobody has looked at is read when somebody does.
    store.histories.get(resource)?.add(entry);
    relistSoon();
    changed();
  }
}

/** Reads again what may have changed while nobody told. After a gap, everything; else what events do not cover. */
function reload(resumed) {
  for (const [alias, known] of store.histories) if (known.loaded) loadHistory(alias);
  relist();
  checkReadiness();
  if (resumed) return;
  loadPage(store.list, undefined, { anew: true });
  if (store.route.name === "job") loadJob(store.route.params.id);
}

let relisting = null;

function relistSoon() {
  relisting ??= setTimeout(relist, RELIST_AFTER_MILLIS);
}

async function relist() {
  clearTimeout(relisting);
  relisting = null;
  try {
    putResources(await api.resources());
    loadWhatIsShown();
  } catch (error) {
    store.resourcesProblem = error;
    changed();
  }
}

async function checkReadiness() {
  try {
    store.readiness = await api.readiness();
  } catch (error) {
    store.readiness = error instanceof api.Problem ? { problem: error } : null;
  }
  changed();
}

// ---- what a page needs ------------------------------------------------------------------------------------------

/** Asks for what the present page shows and nobody has asked for yet. */
export function loadWhatIsShown() {
  const { name, params } = store.route;
  if (name === "resources" && store.resources) {
    for (const resource of [...store.resources.values()].slice(0, MAX_PLOTS)) {
      // It need not be on the list's first page.
      if (resource.activeJob && store.list.loaded && !store.jobs.has(resource.activeJob)) loadJob(resource.activeJob);
      loadHistory(resource.resource, { unlessLoaded: true });
      if (resource.status === null && !resource.activeJob) look(resource.resource, { once: true });
    }
  }
  if (name === "resource") loadHistory(params.alias, { unlessLoaded: true });
  if (name === "job") {
    const job = store.jobs.get(params.id);
    if (job) loadHistory(job.resource, { unlessLoaded: true });
  }
}

/** Called when the page changes. The first page's jobs are read when the stream is open, so that no change is missed. */
export function entered(route, before, isFirst) {
  store.jobProblem = null;
  if (store.flash?.id !== route.params.id) store.flash = null;
  const filter = {
    resources: { resource: "", states: [] },
    jobs: route.params,
    resource: { resource: route.params.alias, states: [] },
  };
  if (filter[route.name]) showJobs(filter[route.name], isFirst);
  if (route.name === "resource" && route.params.alias !== before.params.alias) look(route.params.alias);
  if (route.name === "job" && !isFirst) loadJob(route.params.id);
  loadWhatIsShown();
}

function showJobs({ resource, states }, isFirst) {
  const { list } = store;
  if (list.loaded && list.resource === resource && String(list.states) === String(states)) return;
  store.list = { resource, states, loaded: false, loading: false, problem: null, nextPageToken: null, oldest: null };
  if (!isFirst) loadJobs();
}

/** Reads the first page of the list. */
export const loadJobs = () => loadPage(store.list, undefined);

export const loadMoreJobs = () => loadPage(store.list, store.list.nextPageToken);

/** Reads a page of the list. `anew` forgets all jobs known before: their changes may have been missed. */
async function loadPage(list, pageToken, { anew = false } = {}) {
  list.loading = true;
  changed();
  try {
    const page = await api.jobs({ resource: list.resource, states: list.states, pageToken });
    if (anew) forgetJobs();
    page.jobs.forEach(putJob);
    list.nextPageToken = page.nextPageToken;
    list.oldest = page.jobs.at(-1)?.createdAt ?? list.oldest;
    list.problem = null;
    list.loaded = true;
  } catch (error) {
    list.problem = error;
  }
  list.loading = false;
  changed();
  loadWhatIsShown();
}

async function loadJob(id) {
  try {
    const job = await api.job(id);
    putJob(job);
    loadWhatIsShown();
  } catch (error) {
    if (error.status === 404) {
      store.jobs.delete(id);
      store.missing.add(id);
    } else if (store.route.params.id === id) {
      store.jobProblem = error;
    }
    changed();
  }
}

async function loadHistory(alias, { unlessLoaded = false } = {}) {
  const known = history(alias);
  if (known.loading || (unlessLoaded && (known.loaded || known.problem))) return;
  known.loading = true;
  try {
    known.addNewest(await api.timeline(alias));
    known.problem = null;
  } catch (error) {
    known.problem = error;
  }
  known.loading = false;
  changed();
}

/** Reads older pages until the timeline reaches back to `millis`, or there is nothing older. */
export async function extendHistory(alias, millis) {
  const known = history(alias);
  if (known.loading || !known.loaded || known.problem || known.reaches(millis) || !known.nextPageToken) return;
  known.loading = true;
  try {
    while (!known.reaches(millis) && known.nextPageToken) {
      known.addOlder(await api.timeline(alias, known.nextPageToken));
    }
  } catch (error) {
    known.problem = error;
  }
  known.loading = false;
  changed();
}

// ---- what makes the gateway ask the sidecar ----------------------------------------------------------------------

const looked = new Map();

/** Has a resource read. */
export async function look(alias, { once = false } = {}) {
  if (store.reading.has(alias) || (once && looked.has(alias))) return;
  looked.set(alias, Date.now());
  store.reading.add(alias);
  changed();
  try {
    putResource(await api.resource(alias));
    if (store.lookProblem?.alias === alias) store.lookProblem = null;
  } catch (error) {
    store.lookProblem = { alias, error };
  }
  store.reading.delete(alias);
  changed();
  checkReadiness();
}

/** Keeps the resource that is looked at from being outdated. Its jobs have it read more often than this would. */
function lookAgain() {
  const { name, params } = store.route;
  if (document.hidden || name !== "resource" || store.connection.phase !== "open") return;
  const resource = resourceOf(params.alias);
  const isDue = Date.now() - (looked.get(params.alias) ?? 0) >= LOOK_EVERY_MILLIS;
  if (resource && isDue && !resource.activeJob && resource.queue.length === 0) look(params.alias);
}

// ---- the life of the page ----------------------------------------------------------------------------------------

export const retryNow = () => stream.retryNow();

let lettingGo = null;

function visibilityChanged() {
  clearTimeout(lettingGo);
  if (document.hidden) {
    lettingGo = setTimeout(() => stream.stop(), KEEP_HIDDEN_MILLIS);
  } else {
    stream.start();
    checkReadiness();
  }
}

export function start() {
  stream.start();
  document.addEventListener("visibilitychange", visibilityChanged);
  window.addEventListener("online", retryNow);
  setInterval(() => {
    if (!document.hidden && store.connection.phase === "open") checkReadiness();
  }, READINESS_EVERY_MILLIS);
  setInterval(() => {
    lookAgain();
    if (!document.hidden) changed();
  }, 1000);
}
