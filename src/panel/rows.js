/** What counts besides metrics, as rows under a plot: windows, claims and the hold, each with its spans of time. */

import * as policies from "./policy.js";

/** Most rows. What they leave out is told in words. */
const MOST_ROWS = 8;

/**
 * The rows between `from` and `to`, in milliseconds. What was before `now` is known of windows as far as `decisions` (newest
 * first) reach back, and of claims and a hold that have not ended. What is ahead, the `outlook` tells; it may be null.
 */
export function rows({ decisions, outlook, claims, hold, from, now, to }) {
  const all = [...windows(decisions, outlook, now), ...claims.map(claimRow), ...(hold ? [holdRow(hold)] : [])];
  const shown = all
    .map((row) => ({ ...row, spans: joined(row.spans).flatMap((span) => clipped(span, from, to)) }))
    .filter(({ spans }) => spans.length > 0);
  return { rows: shown.slice(0, MOST_ROWS), leftOut: Math.max(0, shown.length - MOST_ROWS) };
}

const claimRow = (claim) => ({
  kind: "claim",
  text: `claim: ${lower(policies.claimed(claim))}`,
  spans: [{ begin: Math.max(Date.parse(claim.from), Date.parse(claim.createdAt)), end: Date.parse(claim.until) }],
});

const holdRow = (hold) => ({
  kind: "hold",
  text: `hold: ${lower(policies.held(hold))}`,
  spans: [{ begin: Date.parse(hold.createdAt), end: Date.parse(hold.until) }],
});

const lower = (text) => text[0].toLowerCase() + text.slice(1);

/** A row for each rule with a window that was, is or will be open. A window counts from where the climb ahead of it begins. */
function windows(decisions, outlook, now) {
  const found = new Map();
  const rowOf = ({ rule, min, max }) => {
    const text = `${rule}: ${policies.wish({ wants: null, min, max })}`;
    if (!found.has(rule)) found.set(rule, { kind: "window", text, spans: [] });
    return Object.assign(found.get(rule), { text });
  };
  const openNow = new Map();
  let end = now;
  for (const [index, { at, rules }] of decisions.entries()) {
    const begin = Date.parse(at);
    for (const { name: rule, wants, min, max } of rules) {
      if (wants !== null || (min === null && max === null)) continue;
      if (index === 0) openNow.set(rule, { rule, min, max });
      const row = found.get(rule) ?? rowOf({ rule, min, max });
      row.spans.push({ begin, end });
    }
    end = begin;
  }
  if (outlook) addAhead(outlook, openNow, rowOf, now);
  return [...found.values()];
}

/** Of a window that is open, only the end is ahead, or nothing. */
function addAhead({ to, transitions }, openNow, rowOf, now) {
  const openSince = new Map([...openNow.keys()].map((rule) => [rule, now]));
  const seen = new Set();
  for (const transition of transitions) {
    const { at, rule, opens } = transition;
    const row = rowOf(transition);
    const isFirst = !seen.has(rule);
    seen.add(rule);
    if (opens) {
      if (!openSince.has(rule)) openSince.set(rule, Date.parse(at));
    } else if (openSince.has(rule) || isFirst) {
      row.spans.push({ begin: openSince.get(rule) ?? now, end: Date.parse(at) });
      openSince.delete(rule);
    }
  }
  for (const [rule, begin] of openSince) {
    const known = openNow.get(rule) ?? transitions.findLast((transition) => transition.rule === rule);
    rowOf(known).spans.push({ begin, end: Date.parse(to) });
  }
}

/** Spans in the order of time; those that touch are one. */
function joined(spans) {
  const all = [];
  for (const span of spans.toSorted((a, b) => a.begin - b.begin)) {
    const last = all.at(-1);
    if (last && span.begin <= last.end) last.end = Math.max(last.end, span.end);
    else all.push({ ...span });
  }
  return all;
}

const clipped = ({ begin, end }, from, to) =>
  end > from && begin < to ? [{ begin: Math.max(begin, from), end: Math.min(end, to) }] : [];
