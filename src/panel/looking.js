/**
 * What makes the gateway ask the sidecar: looks at single resources. The user may ask for one at any time; of its own accord
 * the panel asks for what it shows, a few at a time and each seldom.
 */

import * as api from "./api.js";
import { grouped, selection } from "./fleet.js";
import { isIdle, readNext } from "./need.js";
import { cause } from "./outage.js";
import { checkReadiness } from "./readiness.js";
import { loadOutlook, loadStanding } from "./standing.js";
import { changed, putResource, resourceOf, store } from "./store.js";

/** How often a resource that is looked at, and has no job that has it read anyway, is read. */
const LOOK_EVERY_MILLIS = 30_000;
/** How far apart the panel has single ones of many read. What changes meanwhile because of jobs or policies, events tell. */
const LOOK_AROUND_APART_MILLIS = 6_000;
/** How often a sidecar that does not answer is asked whether it does again, if no other part asks. */
const ASK_AGAIN_MILLIS = 20_000;
/** Most readings at a time that the page asks for by itself. Browsers allow six connections to a gateway. */
const LOOKS_AT_A_TIME = 3;

/** When each resource was last looked at, and which were since the stream was last ready. */
const looked = new Map();
let lookedAroundAt = 0;
const asked = new Set();
/** Those under way, and those that wait until there are fewer. */
const underWay = new Set();
const waiting = new Set();

export function forgetLooks() {
  for (const known of [looked, asked, waiting]) known.clear();
}

/** What could not be read may be asked for again. */
export const askAgain = () => asked.clear();

/** Has a resource read, as the user wants. */
export async function look(alias) {
  if (store.reading.has(alias)) return;
  store.reading.add(alias);
  changed();
  await read(alias);
  store.reading.delete(alias);
  changed();
  checkReadiness();
}

async function read(alias) {
  looked.set(alias, Date.now());
  asked.add(alias);
  underWay.add(alias);
  try {
    putResource(await api.resource(alias));
    if (store.route.params.alias === alias) loadStanding(alias);
    if (store.lookProblem?.alias === alias) store.lookProblem = null;
  } catch (error) {
    store.lookProblem = { alias, error };
  }
  underWay.delete(alias);
  changed();
}

/** Has resources read that were not since the stream was ready. */
export function lookOnce(aliases) {
  for (const alias of aliases) if (!asked.has(alias) && !underWay.has(alias)) waiting.add(alias);
  lookNext();
}

async function lookNext() {
  const [alias] = waiting;
  if (alias === undefined || underWay.size >= LOOKS_AT_A_TIME) return;
  waiting.delete(alias);
  const done = read(alias);
  lookNext();
  await done;
  if (waiting.size === 0) checkReadiness();
  lookNext();
}

const isDue = (alias, everyMillis) => Date.now() - (looked.get(alias) ?? 0) >= everyMillis;

/** Keeps what is looked at from being outdated. */
export function lookAgain() {
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
  if (name === "resources" && store.resources && cause() === null) lookAround(params.need);
  for (const { resource } of inDoubt()) if (isDue(resource, ASK_AGAIN_MILLIS)) look(resource);
}

/** Reads one of the resources that the overview shows. */
function lookAround(need) {
  if (Date.now() - lookedAroundAt < LOOK_AROUND_APART_MILLIS || underWay.size >= LOOKS_AT_A_TIME) return;
  const shown = selection(grouped(), need).shown.map(({ resource }) => resource);
  const next = readNext(shown, (alias) => looked.get(alias), Date.now());
  if (next === null) return;
  lookedAroundAt = Date.now();
  read(next.resource);
}

/** What is to be read because the panel says that it cannot be: one of all while the sidecar is down, later the rest. */
function inDoubt() {
  const idle = [...(store.resources?.values() ?? [])].filter(isIdle);
  const failed = idle.filter(({ readFailure }) => readFailure);
  if (store.readiness?.sidecar?.reachable !== false) return failed;
  return (failed.length > 0 ? failed : idle).slice(0, 1);
}
