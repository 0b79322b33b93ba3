/** Reads what pages show: the resources, lists of jobs, single jobs and timelines. What an event tells is not read. */

import * as api from "./api.js";
import { grouped, selection } from "./fleet.js";
import { follow, letGo } from "./following.js";
import { placeInLine } from "./line.js";
import { look, lookOnce } from "./looking.js";
import { introduce, session } from "./session.js";
import { loadStanding } from "./standing.js";
import {
  changed, forgetJobs, history, newList, putEntry, putJob, putResources, resourceOf, store,
} from "./store.js";

/** Events come in bursts; the list is read once after each. */
const RELIST_AFTER_MILLIS = 250;
/** Most resources whose timelines are read at a time for one page. */
const MAX_PLOTS = 24;

/** How often events were missed. An answer to what was asked before the last time may be older than what was missed. */
let gaps = 0;
/** Jobs as they were known the last time, to be forgotten once a list was read since. */
let outdated = new Map();

export function eventsMissed() {
  gaps += 1;
  outdated = new Map(store.jobs);
}

export const forgetOutdated = () => outdated.clear();

/** The list that is about to be asked for: `{at, timer}`. */
let relisting = null;
/** Answers may overtake each other: how often the list was asked for, and the latest of these times whose answer was taken. */
let relistsAsked = 0;
let relistTaken = 0;

/** Reads who this tab is to the gateway. Without an answer each refusal tells what is not allowed. */
export async function loadCaller() {
  const { key } = session;
  try {
    introduce(await api.whoami(), key);
  } catch {
    return;
  }
  changed();
}

/** Has the list read, unless it will be even sooner. */
export function relistSoon(afterMillis = RELIST_AFTER_MILLIS) {
  const at = Date.now() + afterMillis;
  if (relisting !== null && relisting.at <= at) return;
  forgetRelisting();
  relisting = { at, timer: setTimeout(relist, afterMillis) };
}

export function forgetRelisting() {
  clearTimeout(relisting?.timer);
  relisting = null;
}

export async function relist() {
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

/** Asks for what the present page shows and was not asked for yet. */
export function loadWhatIsShown() {
  const { name, params } = store.route;
  if (name === "resources" && store.resources) loadOverview(params.need);
  if (name === "resource") {
    loadHistory(params.alias, { unlessLoaded: true });
    loadStanding(params.alias);
    lookOnce([params.alias]);
  }
  if (name === "group" && !document.hidden) follow(params.id);
  if (name === "job") {
    const job = store.jobs.get(params.id);
    if (job) loadHistory(job.resource, { unlessLoaded: true });
    if (job?.state === "queued") loadAhead(job);
  }
}

/** Small plots are read of what moves; on cards all have one. */
function loadOverview(need) {
  const { shown, isTable } = selection(grouped(), need);
  for (const { resource: { activeJob } } of shown) {
    // It need not be on the list's first page.
    if (activeJob && store.list.loaded) loadUnknownJob(activeJob);
  }
  const plotted = isTable ? shown.filter(({ group }) => group !== "quiet").slice(0, MAX_PLOTS) : shown;
  for (const { resource } of plotted) loadHistory(resource.resource, { unlessLoaded: true });
  const unread = shown.filter(({ resource }) => !resource.hasReading && !resource.activeJob);
  lookOnce(unread.map(({ resource }) => resource.resource));
}

/** The job that a queued one stands behind, and the one at work. */
function loadAhead(job) {
  const resource = resourceOf(job.resource);
  const place = resource && placeInLine(job.id, resource);
  for (const id of place ? [resource.activeJob, place.ahead] : []) if (id) loadUnknownJob(id);
}

const jobsAsked = new Set();

async function loadUnknownJob(id) {
  if (store.jobs.has(id) || store.missing.has(id) || jobsAsked.has(id)) return;
  jobsAsked.add(id);
  await loadJob(id);
  jobsAsked.delete(id);
}

/** Called when the choice of what the overview shows has changed. */
export const loadChosen = () => store.route.name === "resources" && loadWhatIsShown();

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
  if (route.name !== "group") letGo();
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
export async function loadPage(list, pageToken) {
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

export async function loadJob(id) {
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
