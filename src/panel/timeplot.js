/** What the plot of a resource shows on one time axis, before and after now, and what is told of it. Pure functions. */

import * as format from "./format.js";
import { drawing, valuesAt } from "./history.js";
import { expected, planned } from "./outlook.js";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** The panel chooses no shorter times where something is ahead: nothing would be seen of it. */
const LEAST_WITH_OUTLOOK = HOUR / 4;
const LEAST_WITH_DAY = 6 * HOUR;
/** Expectations far above all else do not press the rest together. */
const MOST_ABOVE = 1.25;

/** How much is shown before and after now. `span` is the choice of the user, `automatic` that of the panel without one. */
export function timeShown({ span, automatic, hasOutlook, isDayAhead }) {
  if (!hasOutlook) return { past: span ?? automatic, future: 0 };
  const past = span ?? Math.max(automatic, isDayAhead ? LEAST_WITH_DAY : LEAST_WITH_OUTLOOK);
  return { past, future: isDayAhead ? DAY : Math.min(past, DAY) };
}

/**
 * What is drawn. `metric` has the name of one and its values as pairs of time and value; it and the `outlook` may be null.
 * Of the resource nothing is known since `knownUntil`. Where a series has `undefined`, it has no point and its line goes on; where it has null, there is none.
 */
export function timePlot({ history, jobs, activeJob, metric, outlook, text, from, now, to, knownUntil = now }) {
  const past = drawing(history, from, knownUntil, jobs, activeJob);
  const values = (metric?.values ?? []).filter(([at]) => at >= from && at <= now);
  const plan = outlook ? planAhead(outlook, now, to) : [];
  const ahead = outlook ? expectedAhead(outlook, text, now, to) : [];
  // A line that ends holds until the moment of its end.
  const times = [...past.x, Math.min(knownUntil + 1, now), ...values.map(([at]) => at), ...plan.map(([at]) => at), to];
  const x = [...new Set(times)].sort((a, b) => a - b);
  const [capacity, target] = [past.capacity, past.target].map((side) => {
    const known = new Map(past.x.map((at, index) => [at, side[index]]));
    return x.map((at) => (at > knownUntil ? null : known.get(at)));
  });
  const measured = new Map(values);
  const steps = new Map(plan);
  return {
    x, capacity, target,
    metric: x.map((at) => (at > now ? null : measured.get(at))),
    planned: x.map((at) => (at < now ? null : steps.has(at) ? steps.get(at) : undefined)),
    markers: past.markers,
    expected: ahead,
    metricName: metric?.name ?? null,
    now: to > now ? now : null,
    top: topOf([...past.capacity, ...past.target, ...plan.map(([, units]) => units)], ahead, text),
  };
}

/** The plan as pairs of time and units between now and `to`. Where it is not known any more, its line ends. */
function planAhead(outlook, now, to) {
  const { steps, until } = planned(outlook);
  const end = Math.min(until, to);
  if (steps.length === 0 || end <= now) return [];
  const times = [now, ...steps.map(([at]) => at).filter((at) => at > now && at < end), end];
  const units = valuesAt(times, steps);
  const plan = times.map((at, index) => [at, units[index]]);
  return end < to ? [...plan, [end + 1, null]] : plan;
}

function expectedAhead(outlook, text, now, to) {
  const cut = ({ begin, end, ...units }) => (end > now && begin < to ? [{ begin: Math.max(begin, now), end: Math.min(end, to), ...units }] : []);
  return expected(outlook, text)
    .map((band) => ({ ...band, parts: band.parts.map((part) => part.flatMap(cut)).filter((part) => part.length > 0) }))
    .filter(({ parts }) => parts.length > 0);
}

function topOf(values, ahead, text) {
  const most = Math.max(1, ...values.filter((value) => value !== null));
  const expected = Math.max(0, ...ahead.flatMap(({ parts }) => parts.flat().map(({ upper }) => upper)));
  return Math.max(most, Math.min(expected, Math.max(most, text?.max ?? most) * MOST_ABOVE));
}

/** What is at one moment, for the pointer. A drawing of the past only has neither metric nor plan. */
export function readout(drawn, at) {
  const { x, now, metricName } = drawn;
  const isAhead = now !== undefined && now !== null && at > now;
  const of = (values) => valueAt(x, values ?? [], at);
  const told = isAhead ? [["planned", of(drawn.planned)], ...expectedAt(drawn, at)] : [
    ["capacity", of(drawn.capacity)], ["target", of(drawn.target)], [metricName, of(drawn.metric)],
  ];
  const known = told.filter(([, value]) => value !== null);
  if (known.length === 0) return isAhead ? format.time(at) : "";
  return `${format.time(at)}  ${known.map(([name, value]) => `${name} ${format.value(value)}`).join(", ")}`;
}

/** The value of the last point before a moment; null where there is none. */
function valueAt(x, values, at) {
  let index = x.findLastIndex((time) => time <= at);
  while (index > 0 && values[index] === undefined) index -= 1;
  return values[index] ?? null;
}

/** What is expected at a moment by the rule that expects most; one that counts goes first. */
function expectedAt({ expected }, at) {
  const points = expected.flatMap(({ isTrusted, parts }) =>
    parts.flat().filter(({ begin, end }) => begin <= at && at < end).map((point) => ({ isTrusted, ...point })));
  const [most] = points.sort((a, b) => b.isTrusted - a.isTrusted || b.upper - a.upper);
  if (!most) return [];
  const rounded = (units) => Number(units.toFixed(1));
  return [["expected", rounded(most.middle)], ["at most", rounded(most.upper)]];
}

/** What a plot shows of the past between two moments, in a sentence or two. */
export function describePast(alias, { x, capacity, target, metric = [], metricName, markers }, from, until) {
  const over = format.duration(Math.round((until - from) / 1000));
  const values = numbers(capacity);
  if (values.length === 0) return `Capacity of ${alias} over ${over}: not known.`;
  const aim = valueAt(x, target, until);
  const wish = aim === null ? "" : `, target ${format.number(aim)}`;
  const measured = numbers(metric);
  const also = measured.length === 0 ? "" : ` ${metricName} ${ranged(measured)}.`;
  return `Capacity of ${alias} over ${over}: ${ranged(values)}${wish}; ${markers.filter(({ op }) => op !== "beyond").length} changes.${also}`;
}

const numbers = (values) => values.filter((value) => value !== null && value !== undefined);

const ranged = (values) => {
  const [first, last, least, most] = [values[0], values.at(-1), Math.min(...values), Math.max(...values)].map(format.value);
  return `from ${first} to ${last}, between ${least} and ${most}`;
};
