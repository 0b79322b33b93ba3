/** What is ahead of a resource, as shares of a drawing and in words. A pure function of the gateway's answer; it draws nothing. */

import * as format from "./format.js";
import * as policies from "./policy.js";

const HOUR = 3_600_000;
/** Hours between two marks of the time axis. */
const MARK_EVERY_HOURS = 4;
/** Most entries of a plan that the gateway works out. What follows the last one of so many is not known. */
const MOST_PLANNED = 1001;
/** Most rows for windows and claims. */
const MOST_LANES = 8;
/** Expectations far above the bounds of the policy do not press the rest together. */
const MOST_ABOVE_MAX = 1.25;

/** How long an outlook counts as new. What is ahead moves on slowly. */
const RENEW_AFTER_MILLIS = 60_000;
/** Least time between two readings, however often its basis changes. */
const APART_MILLIS = 5_000;

/**
 * Whether an outlook is to be read (again): if there is none, if it is old, or if what it rests on has changed. A basis may
 * change with each value of a metric, and a plan is work for the gateway.
 */
export function isDue(known, basis, now) {
  if (!known) return true;
  const age = now - known.askedAt;
  return !known.isLoading && age >= (known.basis === basis ? RENEW_AFTER_MILLIS : APART_MILLIS);
}

/** What the plot shows: times as shares of its width, capacities from 0 to `top`. `text` is the policy, if it is known. */
export function drawing(outlook, text) {
  const [from, to] = [Date.parse(outlook.from), Date.parse(outlook.to)];
  const share = (at) => Math.min(1, Math.max(0, (Date.parse(at) - from) / (to - from)));
  const bands = bandsOf(outlook, text, share);
  const planned = outlook.planned.map(({ at, capacity }) => ({ x: share(at), units: capacity }));
  const lanes = [...windows(outlook, share), ...claims(outlook, share)];
  const most = Math.max(0, ...planned.map(({ units }) => units));
  const expected = Math.max(0, ...bands.flatMap(({ parts }) => parts.flat().map(({ upper }) => upper)));
  const limit = Math.max(most, (text?.max ?? Infinity) * MOST_ABOVE_MAX);
  return {
    from, to, planned, bands,
    top: Math.max(1, most, Math.min(expected, limit)) * 1.08,
    plannedUntil: planned.length < MOST_PLANNED ? 1 : planned.at(-1).x,
    lanes: lanes.slice(0, MOST_LANES),
    lanesLeftOut: Math.max(0, lanes.length - MOST_LANES),
    marks: marks(from, to),
  };
}

/** What is expected of metrics, in the units that it takes: each rule with parts that have no gaps. */
function bandsOf({ forecast }, text, share) {
  return forecast.flatMap(({ rule, state, points }) => {
    const perUnit = perUnitOf(rule, text);
    if (perUnit === null || points.length === 0) return [];
    const distances = points.slice(1).map(({ at }, index) => Date.parse(at) - Date.parse(points[index].at));
    const step = Math.min(...distances, HOUR);
    const parts = [];
    for (const [index, { at, middle, upper }] of points.entries()) {
      if (index === 0 || distances[index - 1] > 1.5 * step) parts.push([]);
      const end = new Date(Date.parse(at) + step).toISOString();
      parts.at(-1).push({ x: share(at), end: share(end), middle: middle / perUnit, upper: upper / perUnit });
    }
    return [{ rule, isTrusted: state === "trusted", parts }];
  });
}

const perUnitOf = (rule, text) => text?.rules.find(({ name }) => name === rule)?.perUnit ?? null;

/** A row for each rule whose window opens or closes. One that closes first is open now. */
function windows({ transitions }, share) {
  const rows = new Map();
  for (const { at, rule, opens, min, max } of transitions) {
    if (!rows.has(rule)) rows.set(rule, { kind: "window", text: `${rule}: ${policies.wish({ wants: null, min, max })}`, spans: [] });
    const { spans } = rows.get(rule);
    const last = spans.at(-1);
    if (opens) spans.push({ begin: share(at), end: 1 });
    else if (last) last.end = share(at);
    else spans.push({ begin: 0, end: share(at) });
  }
  return [...rows.values()];
}

const claims = (outlook, share) =>
  outlook.claims.map((claim) => ({
    kind: "claim", text: `claim: ${claimed(claim)}`, spans: [{ begin: share(claim.from), end: share(claim.until) }],
  }));

const claimed = (claim) => policies.claimed(claim).replace("At", "at");

/** Full hours of the browser's time zone. */
function marks(from, to) {
  const at = new Date(from);
  at.setMinutes(0, 0, 0);
  const found = [];
  for (let millis = at.getTime() + HOUR; millis < to; millis += HOUR) {
    const x = (millis - from) / (to - from);
    // Its text would stick out at an edge.
    const isMark = new Date(millis).getHours() % MARK_EVERY_HOURS === 0 && x > 0.03 && x < 0.97;
    if (isMark) found.push({ x, text: format.tick(millis, to - from) });
  }
  return found;
}

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
