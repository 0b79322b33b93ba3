/**
 * Keeps the store true: the stream of events, what is read again because of it, and what no event tells.
 *
 * Jobs and timelines come over the stream. Resources are listed again, which the sidecar does not notice, shortly after
 * an event about one. The sidecar itself is asked for what is looked at, see `looking.js`.
 */

import * as api from "./api.js";
import { gatewayNow } from "./clock.js";
import { EventStream } from "./events.js";
import { letGo } from "./following.js";
import {
  entered, eventsMissed, forgetOutdated, forgetRelisting, loadCaller, loadHistory, loadJob, loadPage, loadWhatIsShown, relist, relistSoon,
} from "./loading.js";
import { askAgain, forgetLooks, lookAgain } from "./looking.js";
import { checkReadiness, stopAsking } from "./readiness.js";
import { onSession, session } from "./session.js";
import { loadLedger } from "./standing.js";
import { changed, forgetAll, forgetDecision, putDecision, putEntry, putJob, putPlace, store } from "./store.js";

/** A decision that repeats the one before rarely comes with anything else; there may be thousands of them. */
const RELIST_AFTER_REPEAT_MILLIS = 3_000;
/** No event tells whether the sidecar answers. The gateway knows without asking it. */
const READINESS_EVERY_MILLIS = 15_000;
/** Entries after which a plan that was made before them is for a situation that is gone. */
const CHANGES = ["job_accepted", "job_ended", "external_change"];
/** How long a hidden page keeps its stream. Browsers allow six connections to a gateway, for all pages. */
const KEEP_HIDDEN_MILLIS = 60_000;
/** A connection that comes back sooner was not worth a word. */
const MENTION_AFTER_MILLIS = 1_000;

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
    lostAt: isLost ? (before.lostAt ?? gatewayNow()) : null,
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
  const lostMillis = connection.lostAt === null ? 0 : gatewayNow() - connection.lostAt;
  if (connection.mentioned || lostMillis < MENTION_AFTER_MILLIS) return;
  connection.mentioned = true;
  changed();
}

function take({ type, data }) {
  store.isSilent = false;
  if (type === "ready") {
    const { resumed } = JSON.parse(data);
    if (!resumed) eventsMissed();
    store.groupNews += 1;
    recover();
    return reload(resumed);
  }
  if (type === "job") {
    const job = JSON.parse(data);
    putJob(job);
    // An answer may have told of a later version.
    putPlace(store.jobs.get(job.id) ?? job);
    if (job.groupId) store.groupNews += 1;
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
    relistSoon(decision.count > 1 ? RELIST_AFTER_REPEAT_MILLIS : undefined);
  }
  if (type === "policy") {
    const { resource, revision } = JSON.parse(data);
    if (revision === null) forgetDecision(resource);
    relistSoon();
  }
}

let wasReady = false;

/** What could not be had while the gateway was away can be asked for again. One that was started anew has no readings. */
function recover() {
  if (wasReady || store.lookProblem) askAgain();
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
  loadCaller();
  if (!resumed || !list.loaded || list.problem) loadPage(list, undefined);
  if (route.name !== "job") return;
  const { id } = route.params;
  if (!resumed || store.jobProblem || !(store.jobs.has(id) || store.missing.has(id))) loadJob(id);
}

// ---- the life of the page ----------------------------------------------------------------------------------------

export const retryNow = () => stream.retryNow();

let lettingGo = null;

function visibilityChanged() {
  clearTimeout(lettingGo);
  if (session.phase === "locked") return;
  if (document.hidden) {
    lettingGo = setTimeout(() => {
      stream.stop();
      letGo();
    }, KEEP_HIDDEN_MILLIS);
  } else {
    stream.start();
    checkReadiness();
    loadWhatIsShown();
  }
}

onSession({
  ended() {
    const last = stream;
    stream = newStream();
    last.stop();
    letGo();
    clearTimeout(lettingGo);
    stopAsking();
    forgetRelisting();
    wasReady = false;
    forgetOutdated();
    forgetLooks();
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
