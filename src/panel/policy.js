/** What the words of policies mean to people, and how they look. */

import * as format from "./format.js";

const MODES = {
  active: { text: "Policy acts", tone: "good", sign: "check" },
  advise: { text: "Policy only advises", tone: "warn", sign: "question" },
  off: { text: "Policy is off", tone: "idle", sign: "bar" },
};

/** Whether a policy acts. */
export const mode = ({ mode: name }) => MODES[name] ?? { text: `Policy: ${name}`, tone: "idle", sign: "dot" };

/** What a policy decided last, as far as it did. */
export const sentence = ({ mode: name, detail }) =>
  name === "off" ? "It decides nothing and changes nothing." : (detail ?? "The policy has not decided yet.");

const ACTIONS = {
  submitted: { text: "Job submitted", tone: "run", sign: "arrow" },
  retargeted: { text: "Job given another target", tone: "run", sign: "swap" },
  canceled: { text: "Job canceled", tone: "warn", sign: "bar" },
  none: { text: "Nothing sent", tone: "idle", sign: "dot" },
  advised: { text: "Advice only", tone: "warn", sign: "question" },
};

const ON_ITS_WAY = { text: "Job on its way", tone: "run", sign: "arrow" };

/** What was done about a decision; where that is nothing, whether a job of the policy goes on. */
export const action = ({ action: name, capacity, target }) => {
  const goesOn = name === "none" && capacity !== null && target !== null && capacity !== target;
  return goesOn ? ON_ITS_WAY : (ACTIONS[name] ?? { text: name, tone: "idle", sign: "dot" });
};

const TRIGGERS = {
  metric: "after news of a metric",
  reading: "after a reading of the resource",
  time: "because of the time",
  claim: "because a claim changed",
  hold: "because a hold changed",
  job: "because a job began or ended",
  policy: "because the policy changed",
  followed: "because a followed resource changed",
  start: "when the gateway started",
  request: "because it was asked for",
};

/** What a decision was taken for. */
export const occasion = ({ trigger }) => TRIGGERS[trigger] ?? `because of ${trigger}`;

const STAGES = {
  rules: ["Rules", "the rules"],
  behavior: ["Behavior", "the behavior that the policy sets"],
  idle: ["Idle", "idleness"],
  claims: ["Claims", "claims"],
  windows: ["Windows", "windows of schedules"],
  bounds: ["Bounds", "the bounds of the policy"],
  hold: ["Hold", "a hold"],
  file: ["Configuration", "the bounds in the configuration"],
  platform: ["Platform", "a refusal by the platform"],
};

export const stage = (name) => STAGES[name]?.[0] ?? name;

/** What had the last word on the number, as the end of a sentence. */
export const limit = (name) => STAGES[name]?.[1] ?? name;

/** From what there was to what was decided: `3 → 10`, or `3` if that is the same. */
export function way({ target, decided }) {
  if (decided === null) return "–";
  if (target === null || target === decided) return format.number(decided);
  return `${format.number(target)} → ${format.number(decided)}`;
}

/** What a rule wants, or what the window of a schedule allows. */
export function wish({ wants, min, max }) {
  if (wants !== null) return format.number(wants);
  if (min !== null && min === max) return `exactly ${format.number(min)}`;
  if (min !== null && max !== null) return `${format.number(min)} to ${format.number(max)}`;
  if (min !== null) return `at least ${format.number(min)}`;
  return max === null ? "–" : `at most ${format.number(max)}`;
}

const MISSING = {
  never: "Missing: there never was a value",
  stale: "Missing: the newest value is too old",
  invalid: "Missing: what came is no number that makes sense",
  several_series: "Missing: several series came where one is meant",
  source_failed: "Missing: the source cannot be read",
};

/** Whether a metric has a value to decide on. */
export const metricState = ({ state, reason }) =>
  state === "fresh"
    ? { text: "Fresh", tone: "good", sign: "check" }
    : { text: MISSING[reason] ?? `Missing: ${reason}`, tone: "warn", sign: "question" };

const SIDES = [
  ["above", "above"],
  ["atLeast", "at least"],
  ["atMost", "at most"],
  ["below", "below"],
];

/** At which value of its metric a rule would want something else: `["queue above 900", "queue wants 10"]`. `text` is that of
    the policy, if it is known. */
export function otherwise(alternative, text) {
  const { rule, wants } = alternative;
  const metric = text?.rules.find(({ name }) => name === rule)?.metric ?? `the metric of ${rule}`;
  const [field, side] = SIDES.find(([name]) => name in alternative);
  return [`${metric} ${side} ${format.value(alternative[field])}`, `${rule} wants ${format.number(wants)}`];
}

const FORECAST_STATES = {
  trusted: { text: "Trusted: it counts", tone: "good", sign: "check" },
  learning: { text: "Learning: it does not count yet", tone: "idle", sign: "clock" },
  distrusted: { text: "Distrusted: it does not count", tone: "warn", sign: "question" },
  waiting: { text: "Waiting: it does not count yet", tone: "idle", sign: "clock" },
};

/** Whether what a `forecast` rule expects counts. */
export const forecastState = ({ state }) => FORECAST_STATES[state] ?? { text: state, tone: "idle", sign: "dot" };

const WHY_NOT = {
  learning: (metric) => `Too little is known of the past of ${metric}.`,
  distrusted: (metric) => `Of ${metric} it expected nothing better than the guess that all stays as it is.`,
  waiting: (metric) => `Its history of ${metric} is being read, or no prediction was pushed.`,
};

/** A number that was worked out of many: more than three digits would be made up. */
const rounded = (number) => format.value(Number(number.toPrecision(3)));

/** Why a `forecast` rule does not count, and how good its expectations were, in sentences. */
export function forecastWords({ metric, state, error, naiveError, coverage, quantile }) {
  const said = WHY_NOT[state] ? [WHY_NOT[state](metric)] : [];
  if (error === null || naiveError === null || coverage === null) return [...said, "It could not be compared with what came yet."];
  const asked = quantile === null ? "" : `; ${Math.round(100 * quantile)} % were asked for`;
  return [
    ...said,
    `Its mean error is ${rounded(error)} of ${metric}; that of the guess that all stays as it is, ${rounded(naiveError)}.`,
    `${Math.round(100 * coverage)} % of the values were at most what it provided for${asked}.`,
  ];
}

/** What a hold stops. */
export function held({ capacity, direction }) {
  if (capacity !== null) return `Kept at ${format.number(capacity)}`;
  return { up: "No new jobs up", down: "No new jobs down" }[direction] ?? "No new jobs";
}

/** What is claimed. */
export const claimed = ({ kind, units }) =>
  kind === "extra" ? `${format.number(units)} extra` : `At least ${format.number(units)}`;

/** How a claim does. */
export function claimState({ satisfied, from }, now) {
  if (satisfied) return { text: "Satisfied", tone: "good", sign: "check" };
  if (Date.parse(from) > now) return { text: "Not begun", tone: "idle", sign: "clock" };
  return { text: "Not yet satisfied", tone: "run", sign: "clock" };
}
