/**
 * Which resources need a person, and in which order resources are shown because of it. An order changes only when a
 * resource comes into another group, so that nothing jumps while it is read.
 */

/** Groups of resources, the most urgent first: name, and what it means. */
export const GROUPS = [
  ["failing", { text: "failing", tone: "bad", sign: "cross", detail: "Its last job failed, or its status is FAILED" }],
  ["stuck", { text: "stuck", tone: "warn", sign: "clock", detail: "Its step takes longer than nearly all before it" }],
  ["unfinished", { text: "unfinished", tone: "run", sign: "dot", detail: "A job is at work or in line" }],
  ["quiet", { text: "quiet", tone: "good", sign: "check", detail: "There is nothing to do" }],
];

export const isGroup = (name) => GROUPS.some(([group]) => group === name);

/** Steps of a direction from which on their durations tell what is usual, as for the gateway's estimates. */
export const ENOUGH_STEPS = 5;
/** Poll intervals after which a reading is old where a job or a policy has the resource read, and the least time. */
const STALE_POLLS = 3;
const STALE_AT_LEAST_MILLIS = 90_000;
/** How often the panel has each of many idle resources read that it shows, and when such a reading is old: the turn of a page of them takes as long. */
const IDLE_READ_EVERY_MILLIS = 5 * 60_000;
const IDLE_STALE_MILLIS = 1.5 * IDLE_READ_EVERY_MILLIS;

/** How long the step under way takes and how long nine in ten took, in seconds, if it takes longer; else `null`. */
export function delay({ stepDurations }, job, now) {
  const step = job?.steps.at(-1);
  if (!step?.sentAt || !["change", "active"].includes(job.waitingFor?.reason)) return null;
  const usual = stepDurations[step.op === "add" ? "up" : "down"];
  if (!usual || usual.count < ENOUGH_STEPS) return null;
  const seconds = (now - Date.parse(step.sentAt)) / 1000;
  return seconds > usual.p90Seconds + job.settings.pollIntervalSeconds ? { seconds, usual: usual.p90Seconds } : null;
}

/** Whether the policy of a resource decides without a metric that it needs. */
export const lacksMetric = ({ policy }) =>
  policy !== null && policy !== undefined && policy.mode !== "off" &&
  (policy.conditions ?? []).some(({ code }) => ["metric_missing", "source_refused"].includes(code));

export const lastFailure = ({ lastOutcome }) => (lastOutcome?.state === "failed" ? lastOutcome : null);

/** The group of a resource whose job at work is `job`, as far as it is known. */
export function groupOf(resource, job, now) {
  if (lastFailure(resource) || resource.status?.toUpperCase() === "FAILED") return "failing";
  if (delay(resource, job, now)) return "stuck";
  return resource.activeJob || resource.queue.length > 0 ? "unfinished" : "quiet";
}

/** Jobs have their resource read more often than the panel would. */
export const isIdle = ({ activeJob, queue }) => !activeJob && queue.length === 0;

/**
 * Whether the last reading is older than it should be, or the resource could not be read since. The clock goes `speed` times
 * as fast as that of the panel.
 */
export function isStale(resource, now, speed = 1) {
  const { lastObservation, readFailure, settings, policy } = resource;
  if (!lastObservation || readFailure) return Boolean(lastObservation);
  const age = now - Date.parse(lastObservation.receivedAt);
  if (isIdle(resource) && (policy?.mode ?? "off") === "off") return age > IDLE_STALE_MILLIS * speed;
  return age > Math.max(STALE_POLLS * settings.pollIntervalSeconds * 1000, STALE_AT_LEAST_MILLIS * speed);
}

/**
 * The one of `resources` that the panel has read next: of the idle ones that it did not look at lately the one that was read
 * longest ago; `null` if there is none. `lookedAt` tells when it looked at an alias, or `undefined`.
 */
export function readNext(resources, lookedAt, now) {
  const due = resources.filter(
    (resource) => isIdle(resource) && now - (lookedAt(resource.resource) ?? -Infinity) >= IDLE_READ_EVERY_MILLIS);
  const readAt = ({ lastObservation }) => lastObservation?.receivedAt ?? "";
  return due.reduce((next, resource) => (next === null || readAt(resource) < readAt(next) ? resource : next), null);
}

/** `worker-2` before `worker-10`. */
const byAlias = new Intl.Collator("en", { numeric: true });

const orders = {
  need: (a, b) => rank(a) - rank(b),
  name: () => 0,
  capacity: (a, b) => (b.resource.capacity ?? -1) - (a.resource.capacity ?? -1),
};

const rank = ({ group }) => GROUPS.findIndex(([name]) => name === group);

/** Resources with their groups, in the order `by`: need, name or capacity; equal ones by name. */
export function sorted(grouped, by = "need") {
  return [...grouped].sort(
    (a, b) => orders[by](a, b) || byAlias.compare(a.resource.resource, b.resource.resource),
  );
}

/** How many resources are in each group, in the order of the groups. */
export const counts = (grouped) =>
  GROUPS.map(([name, look]) => [name, look, grouped.filter(({ group }) => group === name).length]);
