/**
 * What the API's words mean to people, and how they look: a tone, and a sign that does not need colours. Those of a job are the
 * words of the commands.
 */

import * as format from "./format.js";

const STATES = {
  queued: { text: "Queued", tone: "idle", sign: "clock" },
  running: { text: "Running", tone: "run", sign: "dot" },
  succeeded: { text: "Succeeded", tone: "good", sign: "check" },
  failed: { text: "Failed", tone: "bad", sign: "cross" },
  canceled: { text: "Canceled", tone: "idle", sign: "bar" },
  superseded: { text: "Superseded", tone: "idle", sign: "swap" },
};

const ENDINGS_AS = {
  canceled: "To be canceled",
  superseded: "To be superseded",
};

/** A job's state, or how it will end once its change in flight is resolved. */
export function state(job) {
  if (job.endingAs) return { text: ENDINGS_AS[job.endingAs] ?? `To be ${job.endingAs}`, tone: "warn", sign: "clock" };
  return STATES[job.state] ?? { text: job.state, tone: "idle", sign: "dot" };
}

const CAME_TO_BE = {
  queued: "The job waits for its turn.",
  running: "The job has begun.",
  succeeded: "The job has succeeded.",
  failed: "The job has failed.",
  canceled: "The job was canceled.",
  superseded: "Another job took this one's place.",
};

/** That a job is in another state than before, as a sentence. */
export const news = (job) => CAME_TO_BE[job.state] ?? `The state of the job is ${job.state}.`;

export const stateName = (name) => STATES[name]?.text ?? name;

const RESTORING = { text: "Restoring", tone: "warn", sign: "swap" };

/** A group's state, or that it will be canceled. */
export function groupState(group) {
  if (group.canceled && group.finishedAt === null) return state({ endingAs: "canceled" });
  return group.state === "restoring" ? RESTORING : state({ state: group.state });
}

export const groupStateName = (name) => (name === "restoring" ? RESTORING.text : stateName(name));

const GROUP_CAME_TO_BE = {
  queued: "The group waits.",
  running: "The group has begun.",
  restoring: "The group takes back what has moved.",
  succeeded: "The group has succeeded.",
  failed: "The group has failed.",
  canceled: "The group was canceled.",
};

/** That a group is in another state than before, as a sentence. */
export const groupNews = (group) => GROUP_CAME_TO_BE[group.state] ?? `The state of the group is ${group.state}.`;

/** What a group does when a member does not reach its target: `[name, what, more]`. */
export const ON_FAILURE = [
  ["stop", "Stop", "the others are canceled; a change under way is resolved first"],
  ["continue", "Continue", "the others go on, and so do later stages"],
  ["restore", "Restore", "the others are canceled, and what has moved goes back to where it began"],
];

export const onFailure = (name) => ON_FAILURE.find(([known]) => known === name)?.[1] ?? name;

/** How the way of a member back to where it began does: `{text, tone, sign}`. */
export function wayBack({ restore, startCapacity }) {
  const start = format.number(startCapacity);
  const text = {
    queued: `Will go back to ${start}`,
    running: `Goes back to ${start}`,
    succeeded: `Is back at ${start}`,
    failed: `Could not be taken back to ${start}`,
    canceled: `The way back to ${start} was canceled`,
    superseded: `Another job took the place of the way back to ${start}`,
  }[restore.state];
  const { tone, sign } = STATES[restore.state] ?? STATES.canceled;
  return { text: text ?? `Way back to ${start}: ${restore.state}`, tone, sign };
}

/** A resource's status; one that was read long ago may have changed. */
export function resourceStatus({ status: text }, isStale) {
  return isStale && text !== null ? { text, tone: "idle", sign: "question" } : status(text);
}

/** That a step takes longer than usual. */
export const late = ({ seconds, usual }) =>
  `Takes longer than usual: ${format.duration(Math.round(seconds))} so far, mostly at most ${format.duration(Math.round(usual))}.`;

export const queued = (count) => (count === 1 ? "1 job queued" : `${format.number(count)} jobs queued`);

const ORDINALS = new Intl.PluralRules("en", { type: "ordinal" });
const ENDINGS = { one: "st", two: "nd", few: "rd", other: "th" };

/** `1st`, `2nd`, `3rd`, `4th`. */
export const nth = (number) => `${format.number(number)}${ENDINGS[ORDINALS.select(number)]}`;

/** A status in the sidecar's words. */
function status(text) {
  if (text === null || text === undefined) return { text: "Not read yet", tone: "idle", sign: "bar" };
  const upper = text.toUpperCase();
  if (upper === "ACTIVE") return { text, tone: "good", sign: "check" };
  if (upper === "FAILED") return { text, tone: "bad", sign: "cross" };
  if (["PAUSED", "STOPPED", "UNKNOWN"].includes(upper)) return { text, tone: "idle", sign: "bar" };
  return { text, tone: "warn", sign: "clock" };
}

const OUTCOMES = {
  pending: { text: "Pending", tone: "run", sign: "clock" },
  confirmed: { text: "Confirmed", tone: "good", sign: "check" },
  unknown: { text: "Unknown", tone: "warn", sign: "question" },
  not_applied: { text: "Not applied", tone: "idle", sign: "bar" },
  rejected: { text: "Rejected", tone: "bad", sign: "cross" },
};

/** What became of a step. */
export function outcome(step) {
  if (step.outcome === "pending" && !step.sentAt) return { text: "About to be sent", tone: "run", sign: "clock" };
  return OUTCOMES[step.outcome] ?? { text: step.outcome, tone: "idle", sign: "dot" };
}

const WAITS = {
  turn: "Waits for its turn",
  stage: "Waits for the earlier stages of its group",
  sidecar: "Waits for a reading from the sidecar",
  active: "Waits for the resource to become ready",
  cooldown: "Waits for the cooldown",
  change: "Waits for the change to show",
  settle: "Waits for a reading that can be trusted",
};
/** What a job waits for: `{text, left, detail}`; `left` is what remains of the wait, or when it is given up. */
export function waiting(job, now) {
  const wait = job.waitingFor;
  if (!wait) return null;
  const until = Date.parse(wait.until);
  // The cooldown is over when its time is up. The other waits are given up then, and mostly end long before.
  const left = wait.reason === "cooldown" ? `${format.countdown(until - now)} left` : `limit ${format.time(until)}`;
  return { text: WAITS[wait.reason] ?? `Waits for ${wait.reason}`, left, detail: format.sentence(wait.detail) };
}

/** What a job is to do: `1 → 5`, or `+2` as long as the start is unknown. */
export function goal(job) {
  if (job.targetCapacity === null) return format.signed(job.delta);
  const target = format.number(job.targetCapacity);
  return job.startCapacity === null ? `to ${target}` : `${format.number(job.startCapacity)} → ${target}`;
}

/** Who submitted a job, in a few words. */
export function caller({ submittedBy }) {
  if (submittedBy === null) return "no key";
  return submittedBy.kind === "key" ? submittedBy.name || submittedBy.key : submittedBy.kind;
}

/** The same at the end of a phrase: `, by ci`. */
export const by = (job) => (job.submittedBy === null ? "" : `, by ${caller(job)}`);

/** How long a job has worked, or did; nothing before it has begun. */
export function took({ startedAt, finishedAt }, now) {
  if (!startedAt) return "–";
  const end = finishedAt ? Date.parse(finishedAt) : now;
  return format.duration(Math.max(0, Math.round((end - Date.parse(startedAt)) / 1000)));
}

export const steps = (count) => (count === 1 ? "1 step" : `${format.number(count)} steps`);

/** A change of the capacity: `add 1: 2 → 3`. */
export const change = (step) =>
  `${step.op} ${format.number(step.units)}: ${format.number(step.fromCapacity)} → ${format.number(step.toCapacity)}`;

/** The API's own limits are no bounds that an operator set. */
const MAX_CAPACITY = 1_000_000;
const MAX_STEP_SIZE = 1_000_000;

/** Where the capacity of a resource may be put. */
export function bounds({ min, max }) {
  if (max < MAX_CAPACITY) return `${format.number(min)} to ${format.number(max)}`;
  return `${format.number(min)} or more`;
}

/** What the operator lets a job ask for in the field `name`, if that is less than the field can have. */
export function limit(name, { minCooldownSeconds, maxStepSize, minSettleSeconds }) {
  const least = { cooldownSeconds: minCooldownSeconds, settleSeconds: minSettleSeconds }[name];
  if (least > 0) return `at least ${format.duration(least)}`;
  return name === "stepSize" && maxStepSize < MAX_STEP_SIZE ? `at most ${format.number(maxStepSize)}` : null;
}

const TIMELINE = {
  reading: "Reading",
  job_accepted: "Job accepted",
  job_started: "Job started",
  job_ended: "Job ended",
  change_sent: "Change sent",
  change_resolved: "Change resolved",
  external_change: "Changed by others",
};

/** What an entry of a timeline is about. */
export const kind = (entry) => TIMELINE[entry.kind] ?? entry.kind.replaceAll("_", " ");

/** An entry's tone and sign. */
export function kindLook(entry) {
  if (entry.kind === "job_ended") return STATES[entry.state] ?? STATES.canceled;
  if (entry.kind === "change_resolved") return OUTCOMES[entry.outcome] ?? OUTCOMES.unknown;
  if (entry.kind === "external_change") return { tone: "warn", sign: "swap" };
  if (entry.kind === "reading") return { ...status(entry.status), sign: "dot" };
  return { tone: "run", sign: entry.kind === "change_sent" ? "arrow" : "dot" };
}

/** What keys allow: name, and what it is for. */
export const SCOPES = [
  ["read", "to look at jobs and resources, and to plan"],
  ["scale", "to submit and cancel jobs, to make holds and claims, and to push metrics as well"],
  ["admin", "to make and revoke keys and to put policies as well"],
  ["push", "to push metrics, and nothing else"],
];

const KEY_STATES = {
  active: { text: "Active", tone: "good", sign: "check" },
  expired: { text: "Expired", tone: "idle", sign: "clock" },
  revoked: { text: "Revoked", tone: "bad", sign: "cross" },
};

/** Whether a key is good. */
export const keyState = ({ state }) => KEY_STATES[state] ?? { text: state, tone: "idle", sign: "dot" };

const ACTIONS = {
  submit_job: "Submit a job",
  cancel_job: "Cancel a job",
  submit_group: "Submit a group",
  cancel_group: "Cancel a group",
  create_key: "Create a key",
  revoke_key: "Revoke a key",
  put_policy: "Put a policy",
  delete_policy: "Delete a policy",
  put_hold: "Put a hold",
  delete_hold: "End a hold",
  create_claim: "Make a claim",
  renew_claim: "Renew a claim",
  delete_claim: "End a claim",
  receive_alerts: "Take in alerts",
};

/** What was tried. */
export const action = (entry) => ACTIONS[entry.action] ?? entry.action.replaceAll("_", " ");

const VERDICTS = {
  accepted: { text: "Accepted", tone: "good", sign: "check" },
  unchanged: { text: "Done already", tone: "idle", sign: "bar" },
  refused: { text: "Refused", tone: "bad", sign: "cross" },
  omitted: { text: "Refused, not recorded one by one", tone: "bad", sign: "cross" },
};

/** What came of it. */
export const verdict = (entry) => VERDICTS[entry.outcome] ?? { text: entry.outcome, tone: "idle", sign: "dot" };
