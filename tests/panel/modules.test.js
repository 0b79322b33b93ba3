/** Modules of the panel one by one, in the browser and as they are served. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { blankStage } from "./stage.js";

const { browser, page, blank, within } = await blankStage();

test("a stream of events is understood wherever it is cut", async () => {
  const text =
    'retry: 2000\n\nevent: ready\nid: 7\ndata: {"resumed": false}\n\n: heartbeat\n\n' +
    "event: job\r\nid: 8\r\ndata: first\r\ndata:second\r\n\r\nid: 9\ndata: plain\n\nevent: nothing\n\ndata: cut off\n";
  const expected = {
    events: [
      { type: "ready", id: "7", data: '{"resumed": false}' },
      { type: "job", id: "8", data: "first\nsecond" },
      { type: "message", id: "9", data: "plain" },
    ],
    retries: [2000],
  };
  for (let size = 1; size <= text.length; size += 1) {
    const found = await within(
      "events.js",
      ({ EventParser }, { text, size }) => {
        const found = { events: [], retries: [] };
        const parser = new EventParser(
          (event) => found.events.push(event),
          (millis) => found.retries.push(millis),
        );
        for (let at = 0; at < text.length; at += size) parser.push(text.slice(at, at + size));
        return found;
      },
      { text, size },
    );
    assert.deepEqual(found, expected, `in pieces of ${size}`);
  }
});

/** Connects to what `answers` say, one after the other; returns with which id each was asked for, and what happened. */
const connect = (answers) =>
  within(
    "events.js",
    ({ EventStream }, answers) =>
      new Promise((resolve) => {
        const seen = { asked: [], events: [], states: [] };
        const stream = new EventStream({
          open: async (lastEventId) => {
            seen.asked.push(lastEventId ?? null);
            const answer = answers.shift();
            if (answer === "refused") throw new Error("refused");
            if (answer.problem) throw Object.assign(new Error(), answer.problem);
            return new Response(answer.status === 204 ? null : answer.text, { status: answer.status ?? 200 });
          },
          onEvent: (event) => {
            if (event.data === "poison" && !seen.events.includes("poison")) {
              seen.events.push("poison");
              throw new Error("not understood");
            }
            seen.events.push(event.data);
          },
          onState: (state) => {
            seen.states.push(state.reason ? `${state.phase}: ${state.reason}` : state.phase);
            // A test does not wait; how long it would is looked at below.
            if (state.phase === "waiting") {
              (seen.waits ??= []).push(state.retryAt - Date.now());
              setTimeout(() => stream.retryNow());
            }
            if (state.phase === "stopped") resolve(seen);
          },
        });
        stream.start();
      }),
    answers,
  );

test("a stream is taken up where it ended, until the gateway says that there is no more", async () => {
  const seen = await connect([
    "refused",
    {
      text: 'event: ready\nid: 1\ndata: {}\n\nevent: job\nid: 2\ndata: a\n\nevent: end\ndata: {"detail": "The gateway stops."}\n\n',
    },
    { problem: { title: "Too many streams", detail: "100 are open.", retryAfterSeconds: 4 } },
    { text: "event: ready\ndata: {}\n\nevent: job\nid: 3\ndata: poison\n\n" },
    { text: "event: ready\ndata: {}\n\nevent: job\nid: 3\ndata: poison\n\n" },
    { status: 204 },
  ]);
  assert.deepEqual(seen.asked, [null, null, "2", "2", "2", "3"], "what was not understood is asked for again");
  assert.deepEqual(
    seen.events.filter((data) => data !== "{}"),
    ["a", "poison", "poison"],
  );
  assert.deepEqual(seen.states.slice(2, 6), ["connecting", "open", "waiting: The gateway stops.", "connecting"]);
  assert.equal(seen.states[6], "waiting: Too many streams. 100 are open.");
  assert.ok(Math.abs(seen.waits[2] - 4000) < 500, "as long as the gateway asks for");
});

test("waits grow, but not without end", async () => {
  const seen = await connect([...Array(9).fill("refused"), { status: 204 }]);
  assert.equal(seen.waits.length, 9);
  assert.ok(seen.waits[0] < 700, `${seen.waits}`);
  assert.ok(seen.waits[8] > 7_000 && seen.waits[8] <= 12_500, `${seen.waits}`);
});

test("a silent connection is given up", async () => {
  const fresh = await browser.newPage();
  await fresh.clock.install();
  await fresh.goto(blank);
  const reached = fresh.evaluate(`import("/panel/events.js").then(({ EventStream }) => new Promise((resolve) => {
    let connections = 0;
    const stream = new EventStream({
      open: async (_, signal) => {
        connections += 1;
        if (connections === 2) return resolve(stream.stop());
        const silent = new ReadableStream({ start: (controller) => signal.addEventListener("abort", () => controller.error(new Error("gone"))) });
        window.isSilent = true;
        return new Response(silent);
      },
      onEvent() {},
      onState() {},
    });
    stream.start();
  })).then(() => "connected again")`);
  await fresh.waitForFunction(() => window.isSilent);
  await fresh.clock.runFor(44_000);
  assert.equal(await Promise.race([reached, Promise.resolve("patient")]), "patient");
  await fresh.clock.runFor(5_000);
  assert.equal(await reached, "connected again");
  await fresh.close();
});

test("a timeline becomes a picture", async () => {
  const at = (second) => new Date(Date.UTC(2026, 0, 1, 12, 0, second)).toISOString();
  const entries = [
    { kind: "job_ended", at: at(40), detail: "", job: "a", state: "succeeded" },
    { kind: "reading", at: at(30), detail: "", capacity: 3 },
    { kind: "external_change", at: at(25), detail: "", job: "a", fromCapacity: 2, toCapacity: 1 },
    { kind: "change_resolved", at: at(21), detail: "", job: "a", outcome: "unknown" },
    { kind: "change_sent", at: at(20), detail: "", job: "a", op: "add", units: 1, fromCapacity: 1, toCapacity: 2 },
    { kind: "job_started", at: at(10), detail: "", job: "a" },
    { kind: "job_accepted", at: at(9), detail: "", job: "a", targetCapacity: null, delta: 2 },
    { kind: "reading", at: at(5), detail: "", capacity: 1 },
  ];
  const second = (index) => Date.parse(at(index));
  const drawn = await within(
    "history.js",
    ({ History, drawing }, { entries, from, to }) => {
      const history = new History();
      history.addNewest({ entries, nextPageToken: null });
      const again = JSON.stringify(history.entries);
      for (const entry of entries) history.add(entry);
      if (JSON.stringify(history.entries) !== again) throw new Error("an entry is there twice");
      return drawing(history, from, to, new Map([["a", { targetCapacity: 3 }]]), null);
    },
    { entries, from: second(0), to: second(50) },
  );
  assert.deepEqual(
    drawn.x,
    [0, 5, 10, 30, 39.999, 40, 50].map(second).map((x, index) => (index === 4 ? second(40) - 1 : x)),
  );
  assert.deepEqual(drawn.capacity, [null, 1, 1, 3, 3, 3, 3]);
  assert.deepEqual(drawn.target, [null, null, 3, 3, 3, null, null]);
  assert.deepEqual(
    drawn.markers.map(({ op, outcome }) => [op, outcome]),
    [
      ["add", "unknown"],
      ["external", "external"],
    ],
  );
});

test("the target in a plot follows those that the policy gave its job", async () => {
  const found = await within("history.js", ({ History, drawing }) => {
    const at = (second) => new Date(second * 1000).toISOString();
    const job = { startedAt: at(10), targetCapacity: 9, retargets: [{ at: at(20), from: 3, to: 6 }, { at: at(30), from: 6, to: 9 }] };
    const started = { kind: "job_started", at: at(10), detail: "", job: "a" };
    const accepted = { kind: "job_accepted", at: at(10), detail: "", job: "a", targetCapacity: 3 };
    return [[started, accepted], [started], []].map((entries) => {
      const history = new History();
      history.addNewest({ entries, nextPageToken: null });
      const { x, target } = drawing(history, 0, 40_000, new Map([["a", job]]), "a");
      return x.map((millis, index) => [millis / 1000, target[index]]);
    });
  });
  const expected = [[0, null], [10, 3], [20, 6], [30, 9], [40, 9]];
  assert.deepEqual(found, [expected, expected, expected]);
});

test("a timeline has no gaps that do not show", async () => {
  const found = await within("history.js", ({ History }) => {
    const entry = (minute) => ({
      kind: "reading",
      at: new Date(minute * 60_000).toISOString(),
      detail: "",
      capacity: minute,
    });
    const history = new History();
    history.addNewest({ entries: [entry(3), entry(2)], nextPageToken: "2" });
    history.addOlder({ entries: [entry(1)], nextPageToken: null });
    const complete = [history.entries.length, history.complete, history.reaches(0)];
    // A page that meets what is known is added to it; one that does not takes its place.
    history.addNewest({ entries: [entry(4), entry(3)], nextPageToken: "3" });
    const met = history.entries.map(({ capacity }) => capacity);
    history.addNewest({ entries: [entry(9), entry(8)], nextPageToken: "8" });
    return { complete, met, apart: history.entries.map(({ capacity }) => capacity), isComplete: history.complete };
  });
  assert.deepEqual(found, { complete: [3, true, true], met: [4, 3, 2, 1], apart: [9, 8], isComplete: false });
});

test("numbers, times and addresses read as people write them", async () => {
  const found = await within("format.js", ({ duration, countdown, ago, signed, sentence }) => ({
    durations: [0.4, 5, 60, 90, 3600, 3700, 86400, 90000].map(duration),
    countdowns: [-5, 400, 65_000, 3_600_000].map(countdown),
    agos: [1_000, 43_000, 200_000, 8_000_000].map(ago),
    signed: [2, -1].map(signed),
    sentence: /^Until \d\d:|^Until \d+ \w+ \d\d:/.test(sentence("Until 2026-01-31T12:00:01.000Z.")),
  }));
  assert.deepEqual(found, {
    durations: ["0.4 s", "5 s", "1 min", "1 min 30 s", "1 h", "1 h 1 min", "1 d", "1 d 1 h"],
    countdowns: ["0:00", "0:01", "1:05", "1:00:00"],
    agos: ["just now", "40 s ago", "3 min ago", "2 h ago"],
    signed: ["+2", "−1"],
    sentence: true,
  });
  const zoned = await within("zone.js", ({ LOCAL_ZONE, UTC, momentOf, offset, useZone }) => {
    const texts = ["2027-01-31T12:00", ""];
    useZone(UTC);
    const inUtc = [...texts.map(momentOf), offset(0)];
    useZone(LOCAL_ZONE);
    return { inUtc, local: momentOf(texts[0]) - new Date(2027, 0, 31, 12) };
  });
  assert.deepEqual(zoned, { inUtc: [Date.UTC(2027, 0, 31, 12), NaN, "UTC+0"], local: 0 });
  const routes = await within("routes.js", ({ parse, hrefs }) => [
    parse(""),
    parse(hrefs.need("stuck")),
    parse("#/?need=nonsense"),
    parse(hrefs.again({ resource: "w", id: "1" })),
    parse(hrefs.job("a b/c")),
    parse(hrefs.jobs({ resource: "w", states: ["failed", "queued"] })),
    parse("#/jobs?state=nonsense"),
    parse(hrefs.resource("x/y")),
    parse("#/%"),
    parse("#/jobs/a/b"),
  ]);
  assert.deepEqual(
    routes.map(({ name, params }) => [name, Object.values(params).flat()]),
    [
      ["resources", [""]],
      ["resources", ["stuck"]],
      ["resources", [""]],
      ["scale", ["w", "1"]],
      ["job", ["a b/c"]],
      ["jobs", ["w", "failed", "queued"]],
      ["jobs", [""]],
      ["resource", ["x/y"]],
      ["nowhere", []],
      ["nowhere", []],
    ],
  );
});

/** Runs `code` with a module in a page of its own, so that what it leaves behind meets no other test. */
async function apart(module, code) {
  const fresh = await browser.newPage();
  await fresh.goto(blank);
  const found = await fresh.evaluate(`import("/panel/${module}").then(${code})`);
  await fresh.close();
  return found;
}

test("a timeline that was wiped is gone, but not what happened meanwhile", async () => {
  const found = await within("history.js", ({ History }) => {
    const entry = (minute) => ({ kind: "reading", at: new Date(minute * 60_000).toISOString(), detail: "" });
    const history = new History();
    history.addNewest({ entries: [entry(2), entry(1)], nextPageToken: null });
    history.expectNewest();
    history.add(entry(3));
    history.addNewest({ entries: [], nextPageToken: null });
    return history.entries.map(({ at }) => Date.parse(at) / 60_000);
  });
  assert.deepEqual(found, [3]);
});

test("the newest reading counts, whichever answer told of it", async () => {
  const found = await apart("store.js", ({ putResources, putResource, putEntry, resourceOf }) => {
    const at = (minute) => new Date(minute * 60_000).toISOString();
    const of = (minute, capacity) => ({
      resource: "worker",
      status: capacity === null ? null : "ACTIVE",
      capacity,
      lastObservation: capacity === null ? null : { receivedAt: at(minute), observedAt: null },
      readFailure: null,
      cooldownRemainingSeconds: 0,
      activeJob: null,
      queue: [],
    });
    const seen = [];
    const note = () => seen.push([resourceOf("worker").capacity, resourceOf("worker").readFailure]);
    putResource(of(1, 5));
    putResources([of(2, 1)]);
    note();
    putResources([of(0, null)]); // After a restart the gateway has no reading.
    note();
    putEntry("worker", { kind: "reading", at: at(3), status: "ACTIVE", capacity: 7 });
    note();
    putResource({ ...of(0, null), readFailure: "refused" });
    note();
    putResources([of(2, 1)]);
    note();
    putResources([of(4, 8)]);
    note();
    return seen;
  });
  assert.deepEqual(found, [
    [1, null],
    [1, null],
    [7, null],
    [7, "refused"],
    [7, "refused"],
    [8, null],
  ]);
});

test("no job that was just read is forgotten", async () => {
  const found = await apart("store.js", ({ store, newList, putJob, listedJobs }) => {
    const job = (index, state) => ({
      id: `job-${index}`,
      version: 1,
      resource: "worker",
      state,
      createdAt: new Date(1e12 - index * 1000).toISOString(),
    });
    for (let index = 0; index < 2_190; index += 1) putJob(job(index, "succeeded"));
    store.list = Object.assign(newList({ resource: "", states: ["failed"] }), { loaded: true });
    for (let index = 5_000; index < 5_050; index += 1) putJob(job(index, "failed"));
    const filtered = listedJobs();
    store.list = Object.assign(newList({ resource: "", states: [] }), { loaded: true });
    for (let index = 0; index < 2_500; index += 1) putJob(job(index, "succeeded"));
    const all = listedJobs();
    return [filtered.jobs.length, filtered.isCut, all.jobs.length > 1_900, all.jobs.length <= 2_000, all.isCut];
  });
  assert.deepEqual(found, [50, false, true, true, true]);
});

test("an event about a job tells at once whether its resource has one", async () => {
  const found = await apart("store.js", async ({ store, putPlace }) => {
    const job = (id, state) => ({ id, state, resource: "worker" });
    const told = [];
    store.resources = new Map([["worker", { resource: "worker", activeJob: null, queue: [] }]]);
    const events = [
      job("a", "running"), job("b", "queued"), job("b", "queued"), job("a", "succeeded"), job("b", "running"), job("a", "succeeded"),
      { ...job("c", "running"), resource: "unknown" },
    ];
    for (const event of events) {
      putPlace(event);
      const { activeJob, queue } = store.resources.get("worker");
      told.push(`${activeJob} ${queue}`);
    }
    return told;
  });
  assert.deepEqual(found, ["a ", "a b", "a b", "null b", "b ", "b ", "b "]);
});

test("only a prompt answer tells how late it is at the gateway", async () => {
  const offsets = await apart("clock.js", async ({ gatewayNow }) => {
    const { readiness } = await import("/panel/api.js");
    const now = Date.now;
    const answer = async (tookMillis) => {
      window.fetch = async () => {
        const date = new Date(now() - 3_600_000).toUTCString();
        const later = Date.now() + tookMillis;
        Date.now = () => later;
        return new Response("{}", { headers: { Date: date } });
      };
      await readiness();
      return Math.round((gatewayNow() - Date.now()) / 60_000);
    };
    return [await answer(10_000), await answer(100)];
  });
  assert.deepEqual(offsets, [0, -60]);
});

test("the clock of a demonstration goes on at its own speed", async () => {
  const found = await apart("clock.js", async ({ gatewayNow }) => {
    const { readiness } = await import("/panel/api.js");
    const start = Date.now();
    Date.now = () => start;
    window.fetch = async () => new Response("{}", { headers: { "Demonstration-Clock": "1000000 480" } });
    await readiness();
    const then = gatewayNow();
    Date.now = () => start + 1_000;
    return [then, gatewayNow()];
  });
  assert.deepEqual(found, [1_000_000, 1_480_000]);
});

test("only the cooldown is said to be over at its time", async () => {
  const found = await within("words.js", ({ waiting }) =>
    ["cooldown", "settle", "active"].map((reason) => {
      const waitingFor = { reason, until: new Date(61_000).toISOString(), detail: "" };
      return waiting({ waitingFor }, 0).left.split(" ")[0];
    }),
  );
  assert.deepEqual(found, ["1:01", "limit", "limit"]);
});

test("a name is given to one label", async () => {
  const found = await within("views/wish.js", ({ empty, wishOf }) =>
    ["a=1\nb=2", "a=1\na=2"].map((labels) => wishOf({ ...empty("worker"), amount: "1", labels }).wrong),
  );
  assert.deepEqual(found, [{}, { "/labels": "Write each name once" }]);
});

test("the form to scale takes durations as people write them, and says what to enter", async () => {
  const found = await within("views/wish.js", ({ empty, wishOf, wishedFor }) => {
    const settings = { stepSize: 1, cooldownSeconds: 5400, settleSeconds: 90, activeTimeoutSeconds: 0.25, pollIntervalSeconds: 90061, deadlineSeconds: 60 };
    const job = { resource: "web", delta: null, targetCapacity: 3, reason: null, labels: {}, settings };
    return {
      taken: ["90", "90s", "5 min", "1h30m", "0.5", "0.5 h"].map((cooldownSeconds) => wishOf({ ...empty("web"), amount: "3", cooldownSeconds }).wish.cooldownSeconds),
      wrong: [empty(""), { ...empty("web"), goal: "delta" }, { ...empty("web"), amount: "many", stepSize: "1.5", settleSeconds: "soon" }].map((fields) => wishOf(fields).wrong),
      again: wishOf(wishedFor(job)).wish,
      shown: ["cooldownSeconds", "activeTimeoutSeconds", "pollIntervalSeconds"].map((name) => wishedFor(job)[name]),
      settings,
    };
  });
  assert.deepEqual(found.taken, [90, 90, 300, 5400, 0.5, 1800]);
  assert.deepEqual(found.wrong, [
    { "/resource": "Enter a resource", "/targetCapacity": "Enter a target" },
    { "/delta": "Enter a difference" },
    {
      "/targetCapacity": "Enter a whole number", "/stepSize": "Enter a whole number",
      "/settleSeconds": "Enter a duration such as 90 s, 5 min or 1h30m",
    },
  ]);
  assert.deepEqual(found.again, { resource: "web", targetCapacity: 3, ...found.settings }, "what is filled in is what it was");
  assert.deepEqual(found.shown, ["1 h 30 min", "0.25 s", "90061 s"]);
});

test("what a reader pastes is taken for a key where it can be one", async () => {
  const key = `sg_${"0123456789".repeat(4)}abcdefgh`;
  const found = await within("session.js", ({ cleaned, malformed, idOf }, key) => ({
    pasted: [key, ` ${key}\n`, `Bearer ${key}`, `Authorization: Bearer ${key}`, `"${key}"`].map((text) => cleaned(text) === key),
    wrong: [key, "", key.slice(3), `${key}0`, key.replace("a", "é"), key.replace("a", " ")].map((text) => malformed(text) !== null),
    id: idOf(key),
  }), key);
  assert.deepEqual(found, { pasted: Array(5).fill(true), wrong: [false, true, true, true, true, true], id: "0123456789" });
});

test("only what the gateway says of a key ends a session", async () => {
  const found = await apart("api.js", async ({ resources }) => {
    const { session, enter, onSession } = await import("/panel/session.js");
    let ended = 0;
    onSession({ ended: () => (ended += 1), begun() {} });
    enter("sg_first");
    const told = [];
    const answer = async (status, body, headers) => {
      window.fetch = async () => new Response(body, { status, headers });
      // What belongs to a session that has ended never comes.
      const never = new Promise((resolve) => setTimeout(() => resolve("nothing"), 50));
      const asked = resources().then(() => "answered", (error) => `refused: ${error.code}`);
      told.push([await Promise.race([asked, never]), session.phase, sessionStorage.length, ended]);
    };
    const refusal = (code) => JSON.stringify({ code });
    await answer(401, "who are you?");
    await answer(403, refusal("insufficient_scope"));
    await answer(503, refusal("not_ready"));
    window.fetch = async () => Promise.reject(new TypeError("no network"));
    told.push([await resources().catch((error) => error.message), session.key]);
    await answer(401, refusal("key_revoked"));
    return told;
  });
  assert.deepEqual(found, [
    ["refused: ", "admitted", 1, 0],
    ["refused: insufficient_scope", "admitted", 1, 0],
    ["refused: not_ready", "admitted", 1, 0],
    ["The gateway cannot be reached.", "sg_first"],
    ["nothing", "locked", 0, 1],
  ]);
});

test("an answer that was meant for one key never reaches the next", async () => {
  const found = await apart("api.js", async ({ resources, submit }) => {
    const { session, enter, forget, adopt } = await import("/panel/session.js");
    const waiting = [];
    const sent = [];
    window.fetch = (_, { headers }) => {
      sent.push(headers.Authorization);
      return new Promise((resolve) => waiting.push((status, body) => resolve(new Response(JSON.stringify(body), { status }))));
    };
    const told = [];
    const tell = (name, promise) => promise.then((value) => told.push([name, value]), (error) => told.push([name, error.code]));
    const soon = () => new Promise((resolve) => setTimeout(resolve, 20));
    enter("sg_first");
    tell("one", resources());
    tell("two", submit({}, "k"));
    forget();
    enter("sg_second");
    waiting[0](200, { resources: ["seen with the first"] });
    // A refusal of the first says nothing of the second.
    waiting[1](401, { code: "key_revoked" });
    await soon();
    const { key, phase } = session;
    // Where another key takes the place of one that is good, what was refused meanwhile is asked again.
    tell("three", resources());
    adopt("sg_third");
    waiting[2](401, { code: "authentication_required" });
    await soon();
    waiting[3](200, { resources: ["seen with the third"] });
    await soon();
    return { told, key, phase, after: session.phase, sent };
  });
  assert.deepEqual(found, {
    told: [["three", ["seen with the third"]]],
    key: "sg_second",
    phase: "admitted",
    after: "admitted",
    sent: ["first", "first", "second", "third"].map((name) => `Bearer sg_${name}`),
  });
});

test("what may be older than events that were missed is not shown", async () => {
  const found = await apart("live.js", async ({ start }) => {
    const { loadJobs } = await import("/panel/loading.js");
    const { listedJobs, store } = await import("/panel/store.js");
    const asked = [];
    let events;
    window.fetch = async (path) => {
      if (path.endsWith("/v1/events")) {
        return new Response(new ReadableStream({ start: (controller) => (events = controller) }));
      }
      if (!path.includes("/v1/jobs?")) return new Response(JSON.stringify({ resources: [], entries: [], nextPageToken: null }));
      return new Promise((resolve, reject) =>
        asked.push({
          answer: (...jobs) => resolve(new Response(JSON.stringify({ jobs, nextPageToken: null }))),
          fail: () => reject(new TypeError("no answer")),
        }));
    };
    const soon = () => new Promise((resolve) => setTimeout(resolve, 20));
    const missEvents = () => events.enqueue(new TextEncoder().encode('event: ready\ndata: {"resumed": false}\n\n'));
    const running = (id) => ({ id, state: "running", version: 3, resource: "worker", createdAt: `2026-01-01T00:00:0${id}Z` });
    const shown = () => listedJobs().jobs.map(({ id }) => id);
    const after = async (act) => {
      act();
      await soon();
      return [shown(), store.list.problem !== null];
    };
    await after(start);
    await after(missEvents);
    const first = await after(() => asked[0].answer(running(1)));
    // Asked for before, and answered after.
    await after(loadJobs);
    await after(missEvents);
    const late = await after(() => asked[1].answer(running(2)));
    const failed = await after(() => asked[2].fail());
    await after(loadJobs);
    const again = await after(() => asked[3].answer());
    return { first, late, failed, again };
  });
  assert.deepEqual(found, { first: [[1], false], late: [[1], false], failed: [[1], true], again: [[], false] });
});

test("a timeline that is being read when events are missed is read once more", async () => {
  const found = await apart("live.js", async ({ start }) => {
    const { extendHistory, loadHistory } = await import("/panel/loading.js");
    const { store } = await import("/panel/store.js");
    const asked = [];
    let events;
    window.fetch = async (path) => {
      if (path.endsWith("/v1/events")) {
        return new Response(new ReadableStream({ start: (controller) => (events = controller) }));
      }
      if (!path.includes("/timeline")) return new Response(JSON.stringify({ resources: [], jobs: [], nextPageToken: null }));
      return new Promise((resolve) =>
        asked.push((...seconds) => {
          const entries = seconds.map((second) => (
            { kind: "reading", at: `2026-01-01T00:00:0${second}.000Z`, status: "ACTIVE", capacity: second, detail: "" }));
          resolve(new Response(JSON.stringify({ entries, nextPageToken: "older" })));
        }));
    };
    const soon = () => new Promise((resolve) => setTimeout(resolve, 20));
    // Nothing that happened to a resource is told again, whether the stream goes on where it was or not.
    const missEvents = () => events.enqueue(new TextEncoder().encode('event: ready\ndata: {"resumed": true}\n\n'));
    const after = async (act) => {
      act();
      await soon();
      return [asked.length, (store.histories.get("worker")?.entries ?? []).map(({ capacity }) => capacity)];
    };
    await after(start);
    await after(missEvents);
    const first = await after(() => loadHistory("worker"));
    const missed = await after(missEvents);
    const late = await after(() => asked[0](3));
    const again = await after(() => asked[1](4, 3));
    // The same while older pages are being read.
    await after(() => extendHistory("worker", Date.parse("2026-01-01T00:00:02Z")));
    await after(missEvents);
    const extended = await after(() => asked[2](2));
    const newest = await after(() => asked[3](5, 4, 3));
    return { first, missed, late, again, extended, newest };
  });
  assert.deepEqual(found, {
    first: [1, []],
    missed: [1, []],
    late: [2, [3]],
    again: [2, [4, 3]],
    extended: [4, [4, 3, 2]],
    newest: [4, [5, 4, 3, 2]],
  });
});

test("what came too fast is asked again when the gateway says, unless it would change something", async () => {
  const found = await apart("api.js", async ({ resources, submit }) => {
    const sent = [];
    window.fetch = async (path, { method }) => {
      sent.push(`${method} ${path}`);
      const isFine = sent.length === 2;
      const headers = { "Retry-After": "0.01" };
      return new Response(JSON.stringify(isFine ? { resources: [] } : { code: "rate_limited" }), { status: isFine ? 200 : 429, headers });
    };
    const first = await resources();
    const second = await submit({}, "k").catch((error) => error.code);
    return { sent, first, second };
  });
  assert.deepEqual(found, {
    sent: ["GET /v1/resources", "GET /v1/resources", "POST /v1/jobs"],
    first: [],
    second: "rate_limited",
  });
});

test("a form for a key becomes the request for it", async () => {
  const found = await within("views/keywish.js", ({ emptyKey, keyWishOf }) => {
    const fields = { ...emptyKey(false), name: " ci ", resources: "a, b\tc;d " };
    return [
      emptyKey(true).scope,
      keyWishOf(fields).wish,
      keyWishOf({ ...fields, scope: "admin", life: "week" }).wish,
      keyWishOf(fields).pointers("/resources/2"),
      keyWishOf(fields).pointers("/name"),
    ];
  });
  assert.deepEqual(found, [
    "admin",
    { name: "ci", scope: "read", resources: ["a", "b", "c", "d"] },
    { name: "ci", scope: "admin", expiresInSeconds: 604_800 },
    "/resources",
    "/name",
  ]);
});

test("a ledger holds each decision once, whatever order news and pages come in", async () => {
  const found = await within("ledger.js", ({ Ledger }) => {
    const decision = (id, second, count = 1) => ({ id, count, lastAt: `2026-01-31T12:00:${String(second).padStart(2, "0")}.000Z` });
    const told = (ledger) => ledger.decisions.map(({ id, count }) => `${id}×${count}`).join(" ");
    const ledger = new Ledger();
    // What was decided while the first page was on its way is not on it, or not as often.
    ledger.add(decision("b", 3));
    ledger.add(decision("b", 4, 2));
    ledger.add(decision("c", 5));
    ledger.addNewest({ decisions: [decision("b", 3), decision("a", 1)], nextPageToken: "older" });
    const first = told(ledger);
    ledger.addOlder({ decisions: [decision("z", 0)], nextPageToken: null });
    ledger.add(decision("c", 6, 2));
    // An answer that was overtaken does not take anything back.
    ledger.add(decision("c", 5, 1));
    const all = told(ledger);
    for (let index = 0; index < 1000; index += 1) ledger.add(decision(`n${index}`, 7));
    return [first, all, ledger.decisions.length, ledger.cut, ledger.nextPageToken];
  });
  assert.deepEqual(found, ["c×1 b×2 a×1", "c×2 b×2 a×1 z×1", 1000, true, null]);
});

test("forms for holds and claims become the requests for them, or say what is wrong", async () => {
  const found = await within("views/demands.js", async (module) => {
    const { secondsOf } = await import("/panel/format.js");
    const { emptyHold, emptyClaim, emptyRenewal, holdWishOf, claimWishOf, renewalWishOf } = module;
    const ahead = (hours) => new Date(Date.now() + hours * 3_600_000);
    // As the field for a day and a time has it.
    const local = (date) => new Date(date - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
    const until = ahead(3);
    until.setSeconds(0, 0);
    return {
      seconds: ["4h", "1h 30m", "90 min", "2d", "0.5h", "10S", "45", "", "h", "4h tomorrow", "-1h"].map(secondsOf),
      holds: [
        holdWishOf(emptyHold()),
        holdWishOf({ ...emptyHold(), stops: "pin", capacity: " 0 ", reason: " migration " }),
        holdWishOf({ ...emptyHold(), stops: "pin", capacity: "-1", lasting: "0s" }),
        holdWishOf({ ...emptyHold(), stops: "up", ends: "until", until: local(until) }).wish.until === until.toISOString(),
        holdWishOf({ ...emptyHold(), ends: "until", until: local(ahead(-1)) }).wrong,
        holdWishOf({ ...emptyHold(), ends: "until", until: local(ahead(31 * 24)) }).wrong,
        holdWishOf({ ...emptyHold(), ends: "until" }).wrong,
      ],
      claims: [
        claimWishOf({ ...emptyClaim(), units: "8", owner: "import" }),
        claimWishOf({ ...emptyClaim(), kind: "extra", units: "0", begins: "later" }).wrong,
        claimWishOf({ ...emptyClaim(), units: "1", begins: "later", from: local(ahead(4)), ends: "until", until: local(until) }).wrong,
      ],
      renewal: renewalWishOf({ ...emptyRenewal(), lasting: "31d" }),
    };
  });
  assert.deepEqual(found, {
    seconds: [14_400, 5_400, 5_400, 172_800, 1_800, 10, null, null, null, null, null],
    holds: [
      { wish: { direction: "both", forSeconds: 14_400 }, wrong: {} },
      { wish: { capacity: 0, forSeconds: 14_400, reason: "migration" }, wrong: {} },
      {
        wish: { capacity: null },
        wrong: { "/capacity": "must be a whole number", "/forSeconds": "must be between 1 second and 30 days" },
      },
      true,
      { "/until": "must be in the future, and after the begin" },
      { "/until": "must be within 30 days" },
      { "/until": "must be a day and a time" },
    ],
    claims: [
      { wish: { kind: "atLeast", units: 8, forSeconds: 7_200, owner: "import" }, wrong: {} },
      { "/units": "must be a whole number above 0", "/from": "must be a day and a time" },
      { "/until": "must be in the future, and after the begin" },
    ],
    renewal: { wish: {}, wrong: { "/forSeconds": "must be between 1 second and 30 days" } },
  });
});

test("values of metrics have few digits, and words of policies a meaning", async () => {
  const values = await within("format.js", ({ value }) => [812, 0.1 + 0.2, 1234.56789, 0, -3, 1e21, 1e-9, 2 ** 53, null].map(value));
  assert.deepEqual(values, ["812", "0.3", "1,234.57", "0", "-3", "1.00000e+21", "1.00000e-9", "9.00720e+15", "–"]);
  const found = await within("policy.js", ({ way, wish, otherwise, held, metricState }) => [
    way({ target: 3, decided: 10 }), way({ target: 3, decided: 3 }), way({ target: 3, decided: null }),
    wish({ wants: null, min: 6, max: 6 }), wish({ wants: null, min: 2, max: 6 }), wish({ wants: null, min: null, max: 6 }),
    wish({ wants: null, min: null, max: null }), wish({ wants: 0, min: null, max: null }),
    otherwise({ rule: "band", above: 900, wants: 10 }, { rules: [{ name: "band", metric: "queue" }] }).join(", "),
    otherwise({ rule: "band", atMost: 0, wants: 8 }, null).join(", "),
    held({ capacity: 0, direction: null }), held({ capacity: null, direction: "both" }),
    metricState({ state: "missing", reason: "stale" }).text,
  ]);
  assert.deepEqual(found, [
    "3 → 10", "3", "–", "exactly 6", "2 to 6", "at most 6", "–", "0", "queue above 900, band wants 10",
    "the metric of band at most 0, band wants 8", "Kept at 0", "No new jobs", "Missing: the newest value is too old",
  ]);
});

test("an outlook is read again when it is old, and sooner only if its basis has changed", async () => {
  const found = await within("outlook.js", ({ isDue }) => {
    const known = (more) => ({ askedAt: 0, basis: "a", isLoading: false, outlook: { from: new Date(0).toISOString() }, ...more });
    return [
      isDue(undefined, "a", 0, 0),
      isDue(known(), "a", 59_999, 59_999), isDue(known(), "a", 60_000, 60_000), isDue(known({ outlook: null }), "a", 60_000, 0),
      isDue(known(), "b", 4_999, 4_999), isDue(known(), "b", 5_000, 5_000), isDue(known({ isLoading: true }), "b", 90_000, 90_000),
      // A clock that goes faster lets it be old sooner, but requests keep apart.
      isDue(known(), "a", 4_999, 1e9), isDue(known(), "a", 5_000, 1e9),
    ];
  });
  assert.deepEqual(found, [true, false, true, true, false, true, false, false, true]);
});

/** An outlook from minute 0 to 100, with a rule of which it is not known how much a unit takes. */
const minute = (minutes) => Date.parse("2027-01-31T00:00:00Z") + minutes * 60_000;
const atMinute = (minutes) => new Date(minute(minutes)).toISOString();
const expectation = (minutes, middle, upper) => ({ at: atMinute(minutes), middle, upper });
const OUTLOOK = {
  from: atMinute(0), to: atMinute(100), planned: [{ at: atMinute(0), capacity: 2 }, { at: atMinute(50), capacity: 4 }],
  forecast: [
    { rule: "ahead", metric: "rps", state: "trusted", points: [expectation(0, 100, 200), expectation(10, 150, 250), expectation(40, 9000, 9000)] },
    { rule: "unknown", metric: "rps", state: "trusted", points: [expectation(0, 1, 1)] },
  ],
  transitions: [
    { at: atMinute(20), rule: "night", opens: false, min: 1, max: 3 }, { at: atMinute(60), rule: "day", opens: true, min: 5, max: null },
    { at: atMinute(80), rule: "night", opens: true, min: 1, max: 3 },
  ],
  claims: [{ id: "x", units: 6, kind: "atLeast", from: atMinute(-10), until: atMinute(30) }],
};
const TEXT = { max: 8, rules: [{ name: "ahead", metric: "rps", perUnit: 50 }], metrics: { rps: { maxAgeSeconds: 600 } } };

test("what is expected is told in units, without what is not known", async () => {
  const found = await within("outlook.js", ({ expected, planned, entries, described }, { outlook, text }) => ({
    bands: expected(outlook, text), without: expected(outlook, null), plan: planned(outlook),
    words: entries(outlook, text).map(({ what }) => what), label: described("worker", { ...outlook, planned: [] }, text),
    many: planned({ ...outlook, planned: Array(1001).fill(outlook.planned[1]) }).until,
  }), { outlook: OUTLOOK, text: TEXT });
  assert.deepEqual(found.bands, [{
    rule: "ahead", isTrusted: true, parts: [
      [{ begin: minute(0), end: minute(10), middle: 2, upper: 4 }, { begin: minute(10), end: minute(20), middle: 3, upper: 5 }],
      [{ begin: minute(40), end: minute(50), middle: 180, upper: 180 }],
    ],
  }]);
  assert.deepEqual(found.without, [], "in which unit is not known");
  assert.deepEqual(found.plan, { steps: [[minute(0), 2], [minute(50), 4]], until: minute(100) });
  assert.equal(found.many, minute(50), "what follows the last of so many is not known");
  assert.deepEqual(found.words, [
    "now: 2", "most of rps that unknown expects: 1", "night closes", "claim ends: at least 6",
    "most of rps that ahead expects: 9,000, which needs 180", "planned: 4", "day opens: at least 5", "night opens: 1 to 3",
  ]);
  assert.match(found.label, /^The next 2 hours of worker: no capacity is planned; most of rps .*; 2 windows open; 1 claim\.$/);
});

test("past and future are one drawing, and a moment of it is told", async () => {
  const given = {
    entries: [
      { kind: "job_started", at: atMinute(-20), detail: "", job: "a" }, { kind: "job_accepted", at: atMinute(-20), detail: "", job: "a", targetCapacity: 3 },
      { kind: "reading", at: atMinute(-30), detail: "", capacity: 1 },
    ],
    metric: { name: "rps", values: [[minute(-70), 9], [minute(-25), 50], [minute(-15), null], [minute(-5), 70.25]] },
    outlook: OUTLOOK, text: TEXT, from: minute(-60), now: minute(5), to: minute(65),
  };
  const found = await within("timeplot.js", async ({ timePlot, readout, describePast }, { entries, ...given }) => {
    const { History } = await import("/panel/history.js");
    const history = new History();
    history.addNewest({ entries, nextPageToken: null });
    const draw = (more) => timePlot({ ...given, history, jobs: new Map(), activeJob: "a", ...more });
    const drawn = draw();
    const bare = draw({ outlook: null, metric: null, to: given.now });
    const cut = draw({ outlook: { ...given.outlook, to: new Date(given.now + 1_800_000).toISOString() } });
    const distrusted = draw({ outlook: { ...given.outlook, forecast: given.outlook.forecast.map((ahead) => ({ ...ahead, state: "distrusted" })) } });
    const silent = draw({ knownUntil: given.now - 1_200_000 });
    const moments = [-40, -22, -10, 0, 7, 30, 45, 60].map((minutes) => given.now + (minutes - 5) * 60_000);
    const told = (drawing) => moments.map((at) => readout(drawing, at).replace(/^.*?\d\d:\d\d:\d\d */, ""));
    return {
      ...drawn, x: drawn.x.map((at) => (at - given.now) / 60_000 + 5), told: told(drawn), past: told(bare), silent: told(silent), bareNow: bare.now,
      label: describePast("worker", drawn, given.from, given.now), isTrusted: distrusted.expected.map(({ isTrusted }) => isTrusted),
      afterPlan: readout(cut, given.now + 1_801_000).includes("planned"),
    };
  }, given);
  assert.deepEqual(found.x, [-60, -30, -25, -20, -15, -5, 5, 50, 65]);
  const none = undefined;
  assert.deepEqual(found.capacity, [null, 1, none, 1, none, none, 1, null, null]);
  assert.deepEqual(found.target, [null, null, none, 3, none, none, 3, null, null]);
  assert.deepEqual(found.metric, [none, none, 50, none, null, 70.25, none, null, null]);
  assert.deepEqual(found.planned, [null, null, null, null, null, null, 2, 4, 4]);
  assert.deepEqual(found.expected[0].parts, [
    [{ begin: minute(5), end: minute(10), middle: 2, upper: 4 }, { begin: minute(10), end: minute(20), middle: 3, upper: 5 }],
    [{ begin: minute(40), end: minute(50), middle: 180, upper: 180 }],
  ]);
  assert.equal(found.top, 10, "what is far above the bounds is cut off");
  assert.deepEqual(found.told, [
    "", "capacity 1, rps 50", "capacity 1, target 3", "capacity 1, target 3, rps 70.25",
    "planned 2, expected 2, at most 4", "planned 2", "planned 2, expected 180, at most 180", "planned 4",
  ]);
  assert.deepEqual(found.past.slice(0, 4), ["", "capacity 1", "capacity 1, target 3", "capacity 1, target 3"]);
  assert.deepEqual(found.silent.slice(1, 4), ["capacity 1, rps 50", "", "rps 70.25"], "what is not known of the resource is not drawn on");
  assert.deepEqual([found.now, found.bareNow], [minute(5), null]);
  assert.deepEqual(found.isTrusted, [false]);
  assert.equal(found.afterPlan, false, "beyond what was looked ahead nothing is known");
  assert.equal(
    found.label, "Capacity of worker over 1 h 5 min: from 1 to 1, between 1 and 1, target 3; 0 changes. rps from 50 to 70.25, between 50 and 70.25.",
  );
});

test("the future has as much room as the past, a day at most", async () => {
  const hour = 3_600_000;
  const found = await within("timeplot.js", ({ timeShown }, hour) => [
    timeShown({ span: null, automatic: hour / 4, hasOutlook: false, isDayAhead: true }),
    timeShown({ span: null, automatic: hour / 4, hasOutlook: true, isDayAhead: false }),
    timeShown({ span: null, automatic: hour / 4, hasOutlook: true, isDayAhead: true }),
    timeShown({ span: hour / 4, automatic: hour, hasOutlook: true, isDayAhead: false }),
    timeShown({ span: 168 * hour, automatic: hour, hasOutlook: true, isDayAhead: false }),
  ].map(({ past, future }) => [past / hour, future / hour]), hour);
  assert.deepEqual(found, [[0.25, 0], [0.25, 0.25], [6, 24], [0.25, 0.25], [168, 24]]);
});

test("windows, claims and the hold are rows of the same time", async () => {
  const opinion = (name, min, max = null) => ({ name, wants: null, min, max });
  const decisions = [
    { at: atMinute(-10), rules: [opinion("night", 1, 3), { name: "load", wants: 4, min: null, max: null }] },
    { at: atMinute(-30), rules: [opinion("night", 1, 3), opinion("early", 7)] },
    { at: atMinute(-50), rules: [opinion("night", null), opinion("early", 7)] },
    { at: atMinute(-200), rules: [opinion("old", 9)] },
    { at: atMinute(-300), rules: [] },
  ];
  const claim = (kind, units, from, until) =>
    ({ kind, units, from: atMinute(from), until: atMinute(until), createdAt: atMinute(-20) });
  const given = {
    decisions, outlook: OUTLOOK, claims: [claim("atLeast", 6, -40, 30), claim("extra", 2, 90, 95), claim("extra", 1, 150, 160)],
    hold: { capacity: 4, direction: null, createdAt: atMinute(-5), until: atMinute(500) },
    from: minute(-60), now: minute(5), to: minute(100),
  };
  const found = await within("rows.js", ({ rows }, given) => {
    const many = Array(9).fill(given.claims[0]);
    const always = { ...given, outlook: { ...given.outlook, transitions: [] }, claims: [], hold: null };
    // Its climb counts already, before it opens.
    const climbing = { ...always, outlook: { ...given.outlook, transitions: given.outlook.transitions.slice(2) } };
    return [rows(given), rows({ ...given, claims: many }).leftOut, rows(always).rows, rows(climbing).rows, rows({ ...always, decisions: [], outlook: null })];
  }, given);
  const [{ rows, leftOut }, many, always, climbing, nothing] = found;
  const spans = (of) => of.map(({ kind, text, spans }) => [kind, text, spans.map(({ begin, end }) => [(begin - minute(0)) / 60_000, (end - minute(0)) / 60_000])]);
  assert.deepEqual(spans(rows), [
    ["window", "night: 1 to 3", [[-30, 20], [80, 100]]],
    ["window", "early: at least 7", [[-50, -10]]],
    ["window", "old: at least 9", [[-60, -50]]],
    ["window", "day: at least 5", [[60, 100]]],
    ["claim", "claim: at least 6", [[-20, 30]]],
    ["claim", "claim: 2 extra", [[90, 95]]],
    ["hold", "hold: kept at 4", [[-5, 100]]],
  ]);
  assert.deepEqual([leftOut, many], [0, 6]);
  assert.deepEqual(spans(always)[0], ["window", "night: 1 to 3", [[-30, 100]]], "it does not close within the outlook");
  assert.deepEqual(spans(climbing)[0], ["window", "night: 1 to 3", [[-30, 100]]]);
  assert.deepEqual(nothing, { rows: [], leftOut: 0 });
});

test("a metric is drawn from what was read and what was told since, without what was missing", async () => {
  const given = {
    series: { name: "rps", step: 60_000, points: [[-90, 1], [-80, 2], [-60, 3]].map(([at, mean]) => ({ at: atMinute(at), mean, max: 9, count: 1 })) },
    decisions: [
      { metrics: { rps: { value: 6, observedAt: atMinute(-40) } }, lastMetrics: { rps: { value: 7, observedAt: atMinute(-38) } } },
      { metrics: { rps: { value: 5, observedAt: atMinute(-55) } }, lastMetrics: null },
      { metrics: { rps: { value: 5, observedAt: atMinute(-55) }, queue: { value: 1, observedAt: atMinute(-54) } }, lastMetrics: null },
      { metrics: { rps: { value: 4, observedAt: atMinute(-60) } }, lastMetrics: null },
      { metrics: { rps: { value: null, observedAt: null } }, lastMetrics: null }, { metrics: {}, lastMetrics: null },
    ],
    text: { metrics: { queue: {}, rps: { maxAgeSeconds: 600 } }, rules: [{ name: "a", metric: "queue" }, { name: "b", metric: "rps" }, { name: "c" }] },
  };
  const found = await within("metrics.js", ({ valuesOf, decidingMetric, wanted, isDue }, { series, decisions, text }) => {
    const wish = (name, wants) => ({ name, wants });
    const known = { ...wanted("rps", 0, 3_600_000), askedAt: 0, isLoading: false };
    return {
      values: valuesOf(series, decisions, text),
      deciding: [
        decidingMetric(text, { rules: [wish("a", 2), wish("b", 3), wish("c", 9)] }), decidingMetric(text, { rules: [wish("a", null), wish("b", null)] }),
        decidingMetric(text, null), decidingMetric({ metrics: {}, rules: [] }, null), decidingMetric(null, { rules: [wish("a", 2)] }),
      ],
      wanted: [wanted("rps", 3_601_000, 7_200_000), wanted("rps", 0, 7 * 86_400_000).step, wanted("rps", 0, 30_000).step],
      due: [
        isDue(undefined, known, 0), isDue(known, known, 14_999), isDue(known, known, 15_000), isDue({ ...known, isLoading: true }, known, 90_000),
        isDue(known, { ...known, name: "queue" }, 1), isDue(known, { ...known, from: known.from - 1 }, 1), isDue(known, { ...known, from: known.from + 1 }, 1),
        isDue({ ...known, step: 3_600_000 }, { ...known, step: 3_600_000 }, 60_000), isDue({ ...known, step: 1_000 }, { ...known, step: 1_000 }, 1_999),
        isDue(known, known, 1_999, 480), isDue(known, known, 2_000, 480),
      ],
    };
  }, given);
  assert.deepEqual(
    found.values.map(([at, value]) => [(at - minute(0)) / 60_000, value]),
    [[-90, 1], [-80, 2], [-69, null], [-60, 3], [-55, 5], [-44, null], [-40, 6], [-38, 7]],
  );
  assert.deepEqual(found.deciding, ["rps", "queue", "queue", null, null]);
  assert.deepEqual(found.wanted, [{ name: "rps", step: 15_000, from: 3_585_000 }, 3_600_000, 1_000]);
  assert.deepEqual(found.due, [true, false, true, false, true, true, false, true, false, false, true]);
});

test("how a forecast stands is said in words", async () => {
  const found = await within("policy.js", ({ forecastState, forecastWords }) => {
    const known = { metric: "rps", error: 52.13, naiveError: 140.4, coverage: 0.7143, quantile: 0.7 };
    const unknown = { metric: "rps", error: null, naiveError: null, coverage: null };
    return [
      forecastWords({ ...known, state: "trusted" }), forecastWords({ ...known, state: "distrusted" }),
      forecastWords({ ...unknown, state: "learning" }), forecastWords({ ...unknown, state: "waiting" }),
      forecastWords({ ...known, quantile: null, state: "trusted" })[1],
      ["trusted", "distrusted", "learning", "waiting", "new"].map((state) => forecastState({ state }).text),
    ];
  });
  const compared = [
    "Its mean error is 52.1 of rps; that of the guess that all stays as it is, 140.",
    "71 % of the values were at most what it provided for; 70 % were asked for.",
  ];
  const notYet = "It could not be compared with what came yet.";
  assert.deepEqual(found, [
    compared,
    ["Of rps it expected nothing better than the guess that all stays as it is.", ...compared],
    ["Too little is known of the past of rps.", notYet],
    ["Its history of rps is being read, or no prediction was pushed.", notYet],
    "71 % of the values were at most what it provided for.",
    [
      "Trusted: it counts", "Distrusted: it does not count", "Learning: it does not count yet", "Waiting: it does not count yet", "new",
    ],
  ]);
});

test("a stream says why it was ended", async () => {
  const found = await within("events.js", ({ EventStream }) =>
    new Promise((resolve) => {
      const stream = new EventStream({
        open: async () => new Response('event: end\ndata: {"reason": "unauthorized", "detail": "It is over."}\n\n'),
        onEvent() {},
        onEnd: (reason) => {
          stream.stop();
          resolve(reason);
        },
        onState() {},
      });
      stream.start();
    }));
  assert.equal(found, "unauthorized");
});
