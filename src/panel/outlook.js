/** What is ahead of a resource, for a plot and in words. Pure functions of the gateway's answer. */

import * as format from "./format.js";
import * as policies from "./policy.js";

const HOUR = 3_600_000;
/** Most entries of a plan that the gateway works out. What follows the last one of so many is not known. */
const MOST_PLANNED = 1001;

/** How long an outlook counts as new. What is ahead moves on slowly. */
const RENEW_AFTER_MILLIS = 60_000;
/** Least time between two readings, however often its basis changes. */
const APART_MILLIS = 5_000;

/**
 * Whether an outlook is to be read (again): if there is none, if it is old, or if what it rests on has changed. A basis may
 * change with each value of a metric, and a plan is work for the gateway. `at` is the browser's time, by which requests are
 * kept apart; `now` is that of the gateway, which in a demonstration goes faster.
 */
export function isDue(known, basis, at, now) {
  if (!known) return true;
  const age = at - known.askedAt;
  if (known.isLoading || age < APART_MILLIS) return false;
  const isOld = known.outlook ? now - Date.parse(known.outlook.from) >= RENEW_AFTER_MILLIS : age >= RENEW_AFTER_MILLIS;
  return isOld || known.basis !== basis;
}

/** The capacities that are planned, as pairs of time and units, and until when they are known. */
export function planned(outlook) {
  const steps = outlook.planned.map(({ at, capacity }) => [Date.parse(at), capacity]);
  return { steps, until: steps.length < MOST_PLANNED ? Date.parse(outlook.to) : steps.at(-1)[0] };
}

/** What is expected of metrics, in the units that it takes: each rule with parts that have no gaps. `text` is the policy, if it
    is known. */
export function expected({ forecast, to }, text) {
  return forecast.flatMap(({ rule, state, points }) => {
    const perUnit = perUnitOf(rule, text);
    if (perUnit === null || points.length === 0) return [];
    const distances = points.slice(1).map(({ at }, index) => Date.parse(at) - Date.parse(points[index].at));
    const step = Math.min(...distances, HOUR);
    const parts = [];
    for (const [index, { at, middle, upper }] of points.entries()) {
      if (index === 0 || distances[index - 1] > 1.5 * step) parts.push([]);
      const begin = Date.parse(at);
      const end = Math.min(begin + step, Date.parse(to));
      parts.at(-1).push({ begin, end, middle: middle / perUnit, upper: upper / perUnit });
    }
    return [{ rule, isTrusted: state === "trusted", parts }];
  });
}

const perUnitOf = (rule, text) => text?.rules.find(({ name }) => name === rule)?.perUnit ?? null;

const claimed = (claim) => policies.claimed(claim).replace("At", "at");

/** Everything that is ahead as `{at, what}`, in the order of time. */
export function entries(outlook, text) {
  const { from, to, planned, transitions, claims: claimsAhead } = outlook;
  const isAhead = (at) => Date.parse(at) > Date.parse(from) && Date.parse(at) < Date.parse(to);
  const all = [
    ...planned.map(({ at, capacity }, index) => ({ at, what: `${index === 0 ? "now" : "planned"}: ${format.number(capacity)}` })),
    ...transitions.map(({ at, rule, opens, min, max }) =>
      ({ at, what: opens ? `${rule} opens: ${policies.wish({ wants: null, min, max })}` : `${rule} closes` })),
    ...claimsAhead.filter((claim) => isAhead(claim.from)).map((claim) => ({ at: claim.from, what: `claim begins: ${claimed(claim)}` })),
    ...claimsAhead.filter((claim) => isAhead(claim.until)).map((claim) => ({ at: claim.until, what: `claim ends: ${claimed(claim)}` })),
    ...peaks(outlook, text).map(({ at, words }) => ({ at, what: words })),
  ];
  return all.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

/** The most that each rule expects. */
function peaks({ forecast }, text) {
  return forecast.flatMap(({ rule, metric, points }) => {
    if (points.length === 0) return [];
    const { at, upper } = points.reduce((most, point) => (point.upper > most.upper ? point : most));
    const perUnit = perUnitOf(rule, text);
    const needs = perUnit === null ? "" : `, which needs ${format.number(Math.ceil(upper / perUnit))}`;
    return [{ at, words: `most of ${metric} that ${rule} expects: ${format.value(Number(upper.toPrecision(3)))}${needs}` }];
  });
}

/** The drawing in a sentence or two. */
export function described(alias, outlook, text) {
  const hours = Math.round((Date.parse(outlook.to) - Date.parse(outlook.from)) / HOUR);
  const units = outlook.planned.map(({ capacity }) => capacity);
  const plan = units.length === 0
    ? "no capacity is planned"
    : `planned capacity from ${units[0]} to ${units.at(-1)}, between ${Math.min(...units)} and ${Math.max(...units)}`;
  const most = peaks(outlook, text).map(({ at, words }) => `${words}, at ${format.time(at)}`);
  const opens = outlook.transitions.filter(({ opens: isOpening }) => isOpening).length;
  const counts = [counted(opens, "window opens", "windows open"), counted(outlook.claims.length, "claim", "claims")];
  return `The next ${hours} hours of ${alias}: ${[plan, ...most, ...counts.filter(Boolean)].join("; ")}.`;
}

const counted = (count, one, many) => (count === 0 ? "" : count === 1 ? `1 ${one}` : `${format.number(count)} ${many}`);
