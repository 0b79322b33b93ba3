/**
 * Keeps the store true: the stream of events, what is read again because of it, and what no event tells.
 *
 * Jobs and timelines come over the stream. Resources are listed again, which the sidecar does not notice, shortly after
 * an event about one. The sidecar itself is asked only while a page shows a single resource.
 */

import * as api from "./api.js";
import { EventStream } from "./events.js";
import { onSession, session } from "./session.js";
import { loadLedger, loadOutlook, loadStanding } from "./standing.js";
import {
  changed,
  forgetAll,
  forgetDecision,
  forgetJobs,
  history,
  newList,
  putDecision,
  putEntry,
  putJob,
  putResource,
  putResources,
  resourceOf,
  store,
} from "./store.js";

/** Events come in bursts; the list is read once after each. */
const RELIST_AFTER_MILLIS = 250;
/** A decision that repeats the one before rarely comes with anything else; there may be thousands of them. */
const RELIST_AFTER_REPEAT_MILLIS = 3_000;
/** No event tells whether the sidecar answers. The gateway knows without asking it. */
const READINESS_EVERY_MILLIS = 15_000;
/** How often a resource that is looked at, and has no job that has it read anyway, is read. */
const LOOK_EVERY_MILLIS = 30_000;
/** How often a sidecar that does not answer is asked whether it does again, if no other part asks. */
const ASK_AGAIN_MILLIS = 20_000;
/** A gateway that does not answer is asked again this soon; the answer that does not come takes longer. */
const SILENT_AGAIN_MILLIS = 1_000;
/** Entries after which a plan that was made before them is for a situation that is gone. */
const CHANGES = ["job_accepted", "job_ended", "external_change"];
/** How long a hidden page keeps its stream. Browsers allow six connections to a gateway, for all pages. */
const KEEP_HIDDEN_MILLIS = 60_000;
/** A connection that comes back sooner was not worth a word. */
const MENTION_AFTER_MILLIS = 1_000;
/** Most resources whose timelines are shown at a time on one page, and that are read because they never were. */
export const MAX_PLOTS = 24;

let stream = null;

/** A stream of its own for each session; what comes of earlier ones is not taken. */
function newStream() {
  const isPresent = () => stream === opened;
  const opened = new EventStream({
    open: api.openEvents,
    onEvent: (event) => isPresent() && take(event),
    // The answer to any question tells why the key is not good any more.
    onEnd: (reason) => isPresent() && reason === "unauthorized" && relist(),
    onState: (state) => isPresent() && connectionChanged(state),
  });
  return opened;
}

function connectionChanged({ phase, retryAt = null, reason }) {
  const before = store.connection;
  const isOpen = phase === "open";
  // A stream that was let go of is not lost.
  const isLost = !isOpen && phase !== "stopped";
  if (isOpen && before.mentioned && before.wasOpen) store.announcement = "Connected to the gateway again.";
  store.connection = {
    phase,
    retryAt,
    reason: (phase === "connecting" ? before.reason : reason) ?? null,
    lostAt: isLost ? (before.lostAt ?? api.gatewayNow()) : null,
    wasOpen: before.wasOpen || isOpen,
    mentioned: isLost && before.mentioned,
  };
  if (isLost) setTimeout(mention, MENTION_AFTER_MILLIS);
  // Where there are no events there may still be answers.
  if (phase === "waiting" && !store.list.loaded) reload(false);
  changed();
}

function mention() {
  const { connection } = store;
  const lostMillis = connection.lostAt === null ? 0 : api.gatewayNow() - connection.lostAt;
  if (connection.mentioned || lostMillis < MENTION_AFTER_MILLIS) return;
  connection.mentioned = true;
  changed();
}

function take({ type, data }) {
  store.isSilent = false;
  if (type === "ready") {
    const { resumed } = JSON.parse(data);
    if (!resumed) eventsMissed();
    recover();
    return reload(resumed);
  }
  if (type === "job") {
    const job = JSON.parse(data);
    putJob(job);
    relistSoon();
  }
  if (type === "timeline") {
    const { resource, entry } = JSON.parse(data);
    // One that was not shown yet is read when it is.
    store.histories.get(resource)?.add(entry);
    putEntry(resource, entry);
    if (CHANGES.includes(entry.kind)) store.changeCounts.set(resource, (store.changeCounts.get(resource) ?? 0) + 1);
    relistSoon();
    changed();
  }
  if (type === "decision") {
    const decision = JSON.parse(data);
    putDecision(decision);
    relistSoon(decision.count > 1 ? RELIST_AFTER_REPEAT_MILLIS : RELIST_AFTER_MILLIS);
  }
  if (type === "policy") {
    const { resource, revision } = JSON.parse(data);
    if (revision === null) forgetDecision(resource);
    relistSoon();
  }
}

/** How often events were missed. An answer to what was asked before the last time may be older than what was missed. */
let gaps = 0;
/** Jobs as they were known the last time, to be forgotten once a list was read since. */
let outdated = new Map();

function eventsMissed() {
  gaps += 1;
  outdated = new Map(store.jobs);
}

let wasReady = false;

/** What could not be had while the gateway was away can be asked for again. One that was started anew has no readings. */
function recover() {
  if (wasReady || store.lookProblem) asked.clear();
  wasReady = true;
  store.lookProblem = null;
}

/**
 * Reads again what may have changed without an event, and what could not be read. After a gap, everything; else what
 * events do not cover.
 */
function reload(resumed) {
  const { list, route } = store;
  // What happened meanwhile is not told again, and an answer on its way may be from before it.
  for (const [alias, known] of store.histories) if (known.loaded || known.problem || known.loading) loadHistory(alias);
  for (const alias of store.ledgers.keys()) loadLedger(alias);
  relist();
  checkReadiness();
  if (!resumed || !list.loaded || list.problem) loadPage(list, undefined);
  if (route.name !== "job") return;
  const { id } = route.params;
  if (!resumed || store.jobProblem || !(store.jobs.has(id) || store.missing.has(id))) loadJob(id);
}

/** The list that is about to be asked for: `{at, timer}`. */
let relisting = null;
/** Answers may overtake each other: how often the list was asked for, and the latest of these times whose answer was taken. */
let relistsAsked = 0;
let relistTaken = 0;

/** Has the list read, unless it will be even sooner. */
export function relistSoon(afterMillis = RELIST_AFTER_MILLIS) {
  const at = Date.now() + afterMillis;
  if (relisting !== null && relisting.at <= at) return;
  forgetRelisting();
  relisting = { at, timer: setTimeout(relist, afterMillis) };
}

function forgetRelisting() {
  clearTimeout(relisting?.timer);
  relisting = null;
}

async function relist() {
  forgetRelisting();
  const number = ++relistsAsked;
  try {
    const resources = await api.resources();
    if (number < relistTaken) return;
    relistTaken = number;
    putResources(resources);
    const { name, params } = store.route;
    if (name === "resource") loadStanding(params.alias, { isNews: true });
    loadWhatIsShown();
  } catch (error) {
    if (number < relistTaken) return;
    store.resourcesProblem = error;
    changed();
  }
}

let askingSilent = null;

async function checkReadiness() {
  clearTimeout(askingSilent);
  try {
    store.readiness = await api.readiness();
    store.isSilent = false;
  } catch (error) {
    const isAnswer = error instanceof api.Problem;
    if (isAnswer) store.readiness = { problem: error };
    // A stream that is open and quiet says nothing about a gateway that hangs.
    store.isSilent = !isAnswer;
    if (store.isSilent && !document.hidden && store.connection.phase === "open") {
      clearTimeout(askingSilent);
      askingSilent = setTimeout(checkReadiness, SILENT_AGAIN_MILLIS);
    }
  }
  changed();
}

// ---- what a page needs ------------------------------------------------------------------------------------------

/** Asks for what the present page shows and was not asked for yet. */
export function loadWhatIsShown() {
  const { name, params } = store.route;
  if (name === "resources" && store.resources) {
    for (const resource of [...store.resources.values()].slice(0, MAX_PLOTS)) {
      const { activeJob } = resource;
      // It need not be on the list's first page.
      const isKnown = store.jobs.has(activeJob) || store.missing.has(activeJob);
      if (activeJob && store.list.loaded && !isKnown) loadJob(activeJob);
      loadHistory(resource.resource, { unlessLoaded: true });
      if (!resource.hasReading && !activeJob) look(resource.resource, { once: true });
    }
  }
  if (name === "resource") {
    loadHistory(params.alias, { unlessLoaded: true });
    loadStanding(params.alias);
    look(params.alias, { once: true });
  }
  if (name === "job") {
    const job = store.jobs.get(params.id);
    if (job) loadHistory(job.resource, { unlessLoaded: true });
  }
}

/** Called when the page changes. The first page's jobs are read when the stream is open, so that no change is missed. */
export function entered(route, before, isFirst) {
  if (session.phase === "locked") return;
  // Nothing but the stream is asked for before the gateway has answered for the first time.
  const isEarly = isFirst || session.phase === "unknown";
  store.jobProblem = null;
  store.lateRefusal = null;
  if (store.flash?.id !== route.params.id) store.flash = null;
  const filter = {
    resources: { resource: "", states: [] },
    jobs: route.params,
    resource: { resource: route.params.alias, states: [] },
  };
  if (filter[route.name]) showJobs(filter[route.name], isEarly);
  if (session.phase === "unknown") return;
  if (route.name === "resource" && route.params.alias !== before.params.alias) look(route.params.alias);
  if (route.name === "job" && !isEarly) loadJob(route.params.id);
  loadWhatIsShown();
}

function showJobs({ resource, states }, isFirst) {
  const { list } = store;
  if (list.loaded && list.resource === resource && String(list.states) === String(states)) return;
  store.list = newList({ resource, states });
  if (!isFirst) loadJobs();
}

/** Reads the first page of the list. */
export const loadJobs = () => loadPage(store.list, undefined);

export const loadMoreJobs = () => loadPage(store.list, store.list.nextPageToken);

/** Reads a page of the list. What is not known better since events were missed is forgotten with the first one that comes. */
async function loadPage(list, pageToken) {
  const asked = gaps;
  list.loading = true;
  changed();
  try {
    const page = await api.jobs({ resource: list.resource, states: list.states, pageToken });
    // It was asked for again when events were missed.
    if (asked !== gaps) return;
    if (!pageToken) {
      forgetJobs(outdated);
      outdated = new Map();
      list.cut = false;
    }
    page.jobs.forEach(putJob);
    list.nextPageToken = page.nextPageToken;
    list.oldest = page.jobs.at(-1)?.createdAt ?? list.oldest;
    list.problem = null;
    list.loaded = true;
  } catch (error) {
    if (asked !== gaps) return;
    list.problem = error;
  }
  list.loading = false;
  changed();
  loadWhatIsShown();
}

async function loadJob(id) {
  const asked = gaps;
  try {
    const job = await api.job(id);
    if (asked !== gaps) return;
    putJob(job);
    if (store.route.params.id === id) store.jobProblem = null;
    loadWhatIsShown();
  } catch (error) {
    if (asked !== gaps) return;
    if (error.status === 404) {
      store.jobs.delete(id);
      store.missing.add(id);
    } else if (store.route.params.id === id) {
      store.jobProblem = error;
    }
    changed();
  }
}

/** Reads the newest page of a timeline. What failed is not tried again by itself before the stream is ready again. */
export async function loadHistory(alias, { unlessLoaded = false } = {}) {
  const known = history(alias);
  if (unlessLoaded && (known.loading || known.loaded || known.problem)) return;
  known.isWantedAgain = known.loading;
  if (known.loading) return;
  known.loading = true;
  known.expectNewest();
  try {
    known.addNewest(await api.timeline(alias));
    known.problem = null;
    const reading = known.entries.find(({ kind }) => kind === "reading");
    if (reading) putEntry(alias, reading);
  } catch (error) {
    known.problem = error;
  }
  readingEnded(alias, known);
}

function readingEnded(alias, known) {
  known.loading = false;
  changed();
  if (known.isWantedAgain) loadHistory(alias);
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
  readingEnded(alias, known);
}

// ---- what makes the gateway ask the sidecar ----------------------------------------------------------------------

/** When each resource was last looked at, and which were since the stream was last ready. */
const looked = new Map();
const asked = new Set();

/** Has a resource read. */
export async function look(alias, { once = false } = {}) {
  if (store.reading.has(alias) || (once && asked.has(alias))) return;
  looked.set(alias, Date.now());
  asked.add(alias);
  store.reading.add(alias);
  changed();
  try {
    putResource(await api.resource(alias));
    if (store.route.params.alias === alias) loadStanding(alias);
    if (store.lookProblem?.alias === alias) store.lookProblem = null;
  } catch (error) {
    store.lookProblem = { alias, error };
  }
  store.reading.delete(alias);
  changed();
  checkReadiness();
}

const isDue = (alias, everyMillis) => Date.now() - (looked.get(alias) ?? 0) >= everyMillis;

/** Jobs have their resource read more often than looks would. */
const isIdle = ({ activeJob, queue }) => !activeJob && queue.length === 0;

/** Keeps what is looked at from being outdated. */
function lookAgain() {
  const { name, params } = store.route;
  if (document.hidden || store.connection.phase !== "open" || store.isSilent) return;
  if (name === "resource") {
    const resource = resourceOf(params.alias);
    const { status } = store.lookProblem?.error ?? {};
    // An alias that was refused is not read later either; one that the sidecar did not answer for may be.
    const isWanted = resource ? isIdle(resource) : status === undefined || status >= 500;
    if (isWanted && isDue(params.alias, LOOK_EVERY_MILLIS)) look(params.alias);
    loadOutlook(params.alias);
  }
  for (const { resource } of inDoubt()) if (isDue(resource, ASK_AGAIN_MILLIS)) look(resource);
}

/** What is to be read because the panel says that it cannot be: one of all while the sidecar is down, later the rest. */
function inDoubt() {
  const idle = [...(store.resources?.values() ?? [])].filter(isIdle);
  const failed = idle.filter(({ readFailure }) => readFailure);
  if (store.readiness?.sidecar?.reachable !== false) return failed;
  return (failed.length > 0 ? failed : idle).slice(0, 1);
}

// ---- the life of the page ----------------------------------------------------------------------------------------

export const retryNow = () => stream.retryNow();

let lettingGo = null;

function visibilityChanged() {
  clearTimeout(lettingGo);
  if (session.phase === "locked") return;
  if (document.hidden) {
    lettingGo = setTimeout(() => stream.stop(), KEEP_HIDDEN_MILLIS);
  } else {
    stream.start();
    checkReadiness();
  }
}

onSession({
  ended() {
    const last = stream;
    stream = newStream();
    last.stop();
    for (const timer of [askingSilent, lettingGo]) clearTimeout(timer);
    forgetRelisting();
    wasReady = false;
    outdated.clear();
    looked.clear();
    asked.clear();
    forgetAll();
  },
  begun({ isFirst }) {
    if (isFirst) {
      entered(store.route, { params: {} }, true);
      stream.start();
    } else {
      loadWhatIsShown();
    }
    changed();
  },
});

export function start() {
  stream = newStream();
  stream.start();
  // It may have been opened in the background.
  if (document.hidden) visibilityChanged();
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
