/** Reads what stands about a resource besides its jobs: what its policy decided, its text, its metrics and its outlook, and claims. */

import * as api from "./api.js";
import { clockSpeed, gatewayNow } from "./clock.js";
import * as metrics from "./metrics.js";
import { isDue } from "./outlook.js";
import { changed, ledger, policyOf, putDecision, resourceOf, store } from "./store.js";

/** Reads what the page of a resource shows of its policy and was not read yet; where there is news, also what may be old. */
export function loadStanding(alias, { isNews = false } = {}) {
  const policy = policyOf(resourceOf(alias));
  if (!policy) return;
  const { loaded, loading, problem } = ledger(alias);
  if (!loaded && !loading && !problem) loadLedger(alias);
  loadText(alias, policy.revision);
  if (isNews || !store.claims.has(alias)) loadClaims(alias);
  loadOutlook(alias);
}

/** Reads what is ahead of a resource, if what is known of it is old or rests on what has changed. */
export async function loadOutlook(alias) {
  const resource = resourceOf(alias);
  const policy = policyOf(resource);
  if (!policy || policy.mode === "off") return;
  const known = store.outlooks.get(alias);
  const basis = basisOf(resource, policy);
  if (!isDue(known, basis, Date.now(), gatewayNow())) return;
  const asked = { outlook: known?.outlook ?? null, problem: known?.problem ?? null, basis, askedAt: Date.now(), isLoading: true };
  store.outlooks.set(alias, asked);
  try {
    store.outlooks.set(alias, { ...asked, outlook: await api.outlook(alias), problem: null, isLoading: false });
  } catch (problem) {
    store.outlooks.set(alias, { ...asked, problem, isLoading: false });
  }
  changed();
}

/** What lets an outlook be another one at once. What is expected of metrics changes slowly once it is there, and is not in it. */
function basisOf({ resource, capacity }, { revision, mode, decided, decision, forecasts = [] }) {
  const claims = (store.claims.get(resource)?.claims ?? []).map(({ id, until }) => [id, until]);
  const states = forecasts.map(({ rule, state, learnedThrough }) => [rule, state, learnedThrough]);
  return JSON.stringify([revision, mode, decision?.decided ?? decided, capacity, claims, states]);
}

/** Reads the values that a metric had since `from`, unless they are known and new. */
export async function loadSeries(alias, name, from) {
  const known = store.series.get(alias);
  const wish = metrics.wanted(name, from, gatewayNow());
  if (!metrics.isDue(known, wish, Date.now(), clockSpeed())) return;
  const points = known?.name === name ? known.points : [];
  const asked = { ...wish, points, problem: null, askedAt: Date.now(), isLoading: true };
  store.series.set(alias, asked);
  try {
    store.series.set(alias, { ...asked, points: await api.series(alias, wish), isLoading: false });
  } catch (problem) {
    store.series.set(alias, { ...asked, problem, isLoading: false });
  }
  changed();
}

/** Reads the newest page of what a policy decided. What failed is not tried again by itself before the stream is ready again. */
export function loadLedger(alias) {
  const known = ledger(alias);
  known.isWantedAgain = known.loading;
  return loadPage(alias, (page) => {
    known.addNewest(page);
    const [newest] = page.decisions;
    if (newest) putDecision(newest);
    // What changed nothing is written a little later than it is told of.
    const told = store.decided.get(alias);
    if (told && told.lastAt >= (newest?.lastAt ?? "")) known.add(told);
  });
}

export const loadOlderDecisions = (alias) =>
  loadPage(alias, (page) => ledger(alias).addOlder(page), ledger(alias).nextPageToken);

async function loadPage(alias, take, pageToken) {
  const known = ledger(alias);
  if (known.loading) return;
  known.loading = true;
  changed();
  try {
    take(await api.decisions(alias, pageToken));
    known.problem = null;
  } catch (error) {
    known.problem = error;
  }
  known.loading = false;
  changed();
  if (known.isWantedAgain) loadLedger(alias);
}

/** Reads the text of a policy, unless it is known in this revision. */
async function loadText(alias, revision) {
  const texts = store.policyTexts;
  if (texts.get(alias)?.revision === revision) return;
  texts.set(alias, { revision, text: null });
  try {
    texts.set(alias, { revision, text: await api.policy(alias) });
  } catch {
    // Without it, less is said about the rules. It is asked for again with the next news.
    texts.delete(alias);
  }
  changed();
}

/** Answers may overtake each other: how often claims were asked for, and by alias the latest of these times whose answer was taken. */
let claimsAsked = 0;
const claimsTaken = new Map();

async function loadClaims(alias) {
  const number = ++claimsAsked;
  let told;
  try {
    told = { claims: await api.claims(alias), problem: null };
  } catch (problem) {
    told = { claims: store.claims.get(alias)?.claims ?? null, problem };
  }
  if (number < (claimsTaken.get(alias) ?? 0)) return;
  claimsTaken.set(alias, number);
  store.claims.set(alias, told);
  changed();
}
