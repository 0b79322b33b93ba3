/**
 * What is ahead of a job: the steps it has still to take, and those of the jobs in front of it. The times are
 * estimates, made as the gateway makes its own; a page must not take them for more.
 */

import { ENOUGH_STEPS } from "./need.js";

/** What a change is assumed to take while none has been seen, as the gateway assumes it. */
const ASSUMED_SECONDS = 60;
/** Most steps that are worked out. */
const MAX_STEPS = 1_000;

/** How long a change of the resource in this direction probably takes. `steps` are the last ones that were taken. */
function usualSeconds({ stepDurations }, isUp, steps) {
  const summary = stepDurations[isUp ? "up" : "down"];
  if (summary && summary.count >= ENOUGH_STEPS) return summary.p50Seconds;
  const last = steps.findLast(({ outcome }) => outcome === "confirmed");
  return last ? (Date.parse(last.resolvedAt) - Date.parse(last.sentAt)) / 1000 : ASSUMED_SECONDS;
}

/** The steps from `from` to `target`, the first of them at `begin` milliseconds, and when the last one is over. */
function walk(resource, settings, steps, from, target, begin) {
  const usual = usualSeconds(resource, target > from, steps) * 1000;
  const apart = Math.max(settings.cooldownSeconds * 1000, usual);
  const ahead = [];
  let at = begin;
  for (let capacity = from; capacity !== target && ahead.length < MAX_STEPS; at += apart) {
    const units = Math.min(settings.stepSize, Math.abs(target - capacity));
    const next = capacity + Math.sign(target - capacity) * units;
    ahead.push({ op: target > from ? "add" : "remove", units, fromCapacity: capacity, toCapacity: next, at });
    capacity = next;
  }
  return { steps: ahead, overAt: ahead.length > 0 ? ahead.at(-1).at + usual : begin };
}

/** The steps that a job at work has still to take, after the one under way; none while that cannot be told. */
export function plannedSteps(job, resource, now) {
  const last = job.steps.at(-1);
  const isPending = last?.outcome === "pending";
  const from = isPending ? last.toCapacity : job.currentCapacity;
  if (from === null || job.targetCapacity === null || job.endingAs) return [];
  const begin = last?.sentAt
    ? Math.max(
        Date.parse(last.sentAt) + job.settings.cooldownSeconds * 1000,
        isPending ? Date.parse(last.sentAt) + usualSeconds(resource, last.op === "add", job.steps) * 1000 : 0,
      )
    : resource.cooldownEndsAt;
  return walk(resource, job.settings, job.steps, from, job.targetCapacity, Math.max(begin, now)).steps;
}

/**
 * The place of a queued job: how many jobs are before it, the one right ahead, and, as far as the jobs ahead are known,
 * its target and the steps it will take; `null` if it is not in the queue. `jobs` are those known, by id.
 */
export function placeInLine(job, resource, jobs, now) {
  const index = resource.queue.indexOf(job.id);
  if (index < 0) return null;
  const before = [resource.activeJob, ...resource.queue.slice(0, index)].filter((id) => id !== null);
  const place = { before: before.length, ahead: before.at(-1) ?? null, unknown: [], target: job.targetCapacity, plan: null };
  place.unknown = before.filter((id) => !jobs.has(id));
  if (place.unknown.length > 0) return place;
  const { steps = [] } = jobs.get(resource.activeJob) ?? {};
  let capacity = resource.capacity;
  let freeAt = Math.max(now, resource.cooldownEndsAt);
  for (const id of before) {
    const other = jobs.get(id);
    const target = targetFrom(other, capacity);
    if (capacity === null || target === null) return place;
    freeAt = freedAt(resource, other, steps, capacity, target, freeAt, now);
    capacity = target;
  }
  place.target = targetFrom(job, capacity);
  return capacity === null ? place : { ...place, plan: walk(resource, job.settings, steps, capacity, place.target, freeAt) };
}

/** When the job after `job` can begin to change something: `job` is over, and so is the cooldown of its last change. */
function freedAt(resource, job, steps, from, target, begin, now) {
  const { estimatedCompletionAt } = job.progress;
  const overAt = estimatedCompletionAt
    ? Math.max(now, Date.parse(estimatedCompletionAt))
    : walk(resource, job.settings, steps, from, target, begin).overAt;
  if (from === target) return Math.max(overAt, begin);
  const sentAt = overAt - usualSeconds(resource, target > from, steps) * 1000;
  return Math.max(overAt, sentAt + job.settings.cooldownSeconds * 1000);
}

/** Where a job leads to that begins at `capacity`. */
function targetFrom({ targetCapacity, delta }, capacity) {
  return targetCapacity ?? (capacity === null || delta === null ? null : Math.max(0, capacity + delta));
}
