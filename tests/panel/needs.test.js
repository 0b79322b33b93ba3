/** What the panel says of resources that need a person, of jobs in line and of outages: the rules alone, without a gateway's doing. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { blankStage } from "./stage.js";

const { within } = await blankStage();

test("resources come by what they need, and by name where that is equal", async () => {
  const found = await within("need.js", ({ groupOf, sorted }) => {
    const now = Date.parse("2026-01-01T00:10:00Z");
    const quiet = { status: "ACTIVE", capacity: 1, activeJob: null, queue: [], lastOutcome: null, stepDurations: { up: null, down: null } };
    const sentAt = (seconds) => new Date(now - seconds * 1000).toISOString();
    const job = (seconds, reason = "active", op = "add") => (
      { waitingFor: { reason }, steps: [{ op, sentAt: sentAt(seconds) }], settings: { pollIntervalSeconds: 5 } });
    const learned = (count) => ({ ...quiet, activeJob: "1", stepDurations: { up: { p90Seconds: 60, count }, down: null } });
    const failed = { state: "failed", job: "1", errorCode: "no_progress", at: sentAt(9) };
    const cases = {
      quiet: [quiet, null],
      succeeded: [{ ...quiet, lastOutcome: { ...failed, state: "succeeded" } }, null],
      failed: [{ ...quiet, lastOutcome: failed }, null],
      "failed, and another at work": [{ ...quiet, lastOutcome: failed, activeJob: "2" }, null],
      "FAILED status": [{ ...quiet, status: "failed" }, null],
      queued: [{ ...quiet, queue: ["1"] }, null],
      "at work, unknown job": [{ ...quiet, activeJob: "1" }, null],
      "as long as usual": [learned(5), job(64)],
      "longer than usual": [learned(5), job(66)],
      "too few steps known": [learned(4), job(600)],
      "other direction": [learned(5), job(600, "active", "remove")],
      "waits for the cooldown": [learned(5), job(600, "cooldown")],
    };
    const groups = Object.entries(cases).map(([name, [resource, work]]) => [name, groupOf(resource, work, now)]);
    const named = (resource, group, capacity) => ({ resource: { resource, capacity }, group });
    const all = [named("w-10", "quiet", 1), named("w-2", "quiet", 3), named("z", "failing", 2), named("b", "stuck", 2), named("a", "unfinished", 2)];
    const order = (by) => sorted(all, by).map(({ resource }) => resource.resource).join(" ");
    return { groups: Object.fromEntries(groups), need: order("need"), name: order("name"), capacity: order("capacity") };
  });
  assert.deepEqual(found, {
    groups: {
      quiet: "quiet", succeeded: "quiet", failed: "failing", "failed, and another at work": "failing", "FAILED status": "failing",
      queued: "unfinished", "at work, unknown job": "unfinished", "as long as usual": "unfinished", "longer than usual": "stuck",
      "too few steps known": "unfinished", "other direction": "unfinished", "waits for the cooldown": "unfinished",
    },
    need: "z b a w-2 w-10",
    name: "a b w-2 w-10 z",
    capacity: "w-2 a b z w-10",
  });
});

test("a reading is old after a few poll intervals where something has the resource read, or if the next one failed", async () => {
  const found = await within("need.js", ({ isStale }) => {
    const now = Date.parse("2026-01-01T00:10:00Z");
    const read = (seconds, pollIntervalSeconds, { speed, ...more } = {}) => isStale({
      lastObservation: seconds === null ? null : { receivedAt: new Date(now - seconds * 1000).toISOString() },
      settings: { pollIntervalSeconds }, readFailure: null, activeJob: "1", queue: [], policy: null, ...more,
    }, now, speed);
    const readFailure = "refused";
    return {
      read: [read(89, 1), read(91, 1), read(149, 50), read(151, 50), read(899, 1, { speed: 10 })],
      failed: [read(1, 50, { readFailure }), read(null, 1), read(null, 1, { readFailure })],
      policy: ["active", "advise", "off"].map((mode) => read(91, 1, { activeJob: null, policy: { mode } })),
      idle: [91, 449, 451].map((seconds) => read(seconds, 1, { activeJob: null })),
    };
  });
  assert.deepEqual(found, {
    read: [false, true, false, true, false], failed: [true, false, false], policy: [true, true, false], idle: [false, false, true],
  });
});

test("of many resources the one is read next that was read longest ago, and none too often", async () => {
  const found = await within("need.js", ({ readNext }) => {
    const resource = (alias, receivedAt, more = {}) => (
      { resource: alias, lastObservation: receivedAt && { receivedAt }, activeJob: null, queue: [], ...more });
    const all = [
      resource("b", "2026-01-01T00:02:00Z"), resource("a", "2026-01-01T00:01:00Z"),
      resource("at work", "2026-01-01T00:00:00Z", { activeJob: "1" }), resource("in line", null, { queue: ["1"] }),
    ];
    const next = (all, looked, now = 1_000_000) => readNext(all, (alias) => looked[alias], now)?.resource ?? null;
    return [
      next(all, {}), next([...all, resource("unread", null)], {}), next(all, { a: 701_000 }), next(all, { a: 700_000 }),
      next(all, { a: 999_000, b: 999_000 }), next([], {}),
    ];
  });
  assert.deepEqual(found, ["a", "unread", "b", "a", null, null]);
});

test("of several things out of order the one is told that explains the others", async () => {
  const found = await within("outage.js", ({ cause }) => {
    const open = { phase: "open", mentioned: false };
    const lost = { phase: "waiting", mentioned: true };
    const ready = (reachable) => ({ sidecar: { reachable } });
    const state = (connection, readiness, isSilent = false) => cause({ connection, readiness, isSilent });
    return [
      state(open, null), state(open, ready(null)), state(open, ready(true)), state(open, ready(false)),
      state(open, { problem: { reason: "storage_unavailable" } }), state(open, { problem: { reason: "starting" } }),
      state(open, ready(false), true), state(lost, ready(false)), state({ phase: "waiting", mentioned: false }, ready(true)),
    ];
  });
  assert.deepEqual(found, [null, null, null, "sidecar", "store", "gateway", "gateway", "gateway", null]);
});

test("a queued job knows its place and the job ahead", async () => {
  const found = await within("line.js", ({ placeInLine }) => {
    const resource = { activeJob: "active", queue: ["second", "third"] };
    return [
      placeInLine("second", resource), placeInLine("third", resource), placeInLine("second", { ...resource, activeJob: null }),
      placeInLine("gone", resource),
    ];
  });
  assert.deepEqual(found, [{ place: 1, ahead: "active" }, { place: 2, ahead: "second" }, { place: 1, ahead: null }, null]);
});

test("a policy lacks a metric while one of its rules has none, unless it is off", async () => {
  const found = await within("need.js", ({ lacksMetric }) => {
    const lacks = (mode, ...codes) => lacksMetric({ policy: { mode, conditions: codes.map((code) => ({ code })) } });
    return [
      lacksMetric({ policy: null }), lacks("active"), lacks("active", "held"), lacks("active", "held", "metric_missing"),
      lacks("advise", "source_refused"), lacks("off", "metric_missing"),
    ];
  });
  assert.deepEqual(found, [false, false, false, true, true, false]);
});

test("a target that was missed by far is a mark off the scale, and one that was reached or is at work is drawn", async () => {
  const found = await within("history.js", ({ History, drawing }) => {
    const at = (second) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
    const drawn = (targetCapacity, state) => {
      const history = new History();
      history.add({ kind: "reading", at: at(0), status: "ACTIVE", capacity: 4, detail: "" });
      history.add({ kind: "job_accepted", at: at(1), job: "1", targetCapacity, detail: "" });
      history.add({ kind: "job_started", at: at(2), job: "1", detail: "" });
      if (state) history.add({ kind: "job_ended", at: at(3), job: "1", state, detail: "" });
      const { target, markers } = drawing(history, Date.parse(at(0)), Date.parse(at(9)), new Map(), null);
      return [Math.max(...target), markers.map(({ op, to }) => `${op} ${to}`).join()];
    };
    return [drawn(100_000, "failed"), drawn(100_000, "succeeded"), drawn(100_000, null), drawn(12, "failed"), drawn(13, "canceled")];
  });
  assert.deepEqual(found, [[0, "beyond 100000"], [100_000, ""], [100_000, ""], [12, ""], [0, "beyond 13"]]);
});
