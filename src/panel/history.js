/** The timeline of one resource, and what of it is drawn. */

/** Most entries kept: ten pages. A plot with more is a solid block. */
const MAX_ENTRIES = 2_000;

const MINUTE = 60_000;
/** The spans of time a plot can show. */
export const SPANS = [
  ["15m", 15 * MINUTE],
  ["1h", 60 * MINUTE],
  ["6h", 6 * 60 * MINUTE],
  ["24h", 24 * 60 * MINUTE],
  ["7d", 7 * 24 * 60 * MINUTE],
];
/** The spans the panel itself chooses from; a demonstration fits into the first ones. */
const AUTOMATIC_SPANS = [MINUTE / 2, MINUTE, 2 * MINUTE, 5 * MINUTE, ...SPANS.map(([, millis]) => millis)];
/** The panel chooses a span that shows at least the last jobs, this many of them. */
const JOBS_TO_SHOW = 3;

/** Tells entries of one timeline apart. */
export const keyOf = (entry) => `${entry.kind} ${entry.at} ${entry.job ?? ""} ${entry.op ?? ""} ${entry.detail}`;

export class History {
  /** Newest first. */
  entries = [];
  /** Counts changes. */
  version = 0;
  /** Whether the first page was read, and whether there is nothing older than what is here. */
  loaded = false;
  complete = false;
  loading = false;
  /** Whether something was missed since it was asked for what is being loaded. */
  isWantedAgain = false;
  nextPageToken = null;
  problem = null;
  #keys = new Set();
  /** What was here when the newest page was asked for. */
  #keysBefore = new Set();

  /** To be called before the newest page is asked for: what comes later happened while it was on its way. */
  expectNewest() {
    this.#keysBefore = new Set(this.#keys);
  }

  /** Takes in what just happened. */
  add(entry) {
    const key = keyOf(entry);
    if (this.#keys.has(key)) return;
    this.#keys.add(key);
    const at = this.entries.findIndex((known) => known.at <= entry.at);
    this.entries.splice(at < 0 ? this.entries.length : at, 0, entry);
    this.#trim();
    this.version += 1;
  }

  /** Takes in the newest page. If it does not reach down to the older entries, they are dropped: there would be a gap. */
  addNewest({ entries, nextPageToken }) {
    const meets = entries.some((entry) => this.#keys.has(keyOf(entry)));
    if (!meets || nextPageToken === null || !this.loaded) {
      const read = new Set(entries.map(keyOf));
      // What happened while the page was on its way. What was here before and is not on the page is gone.
      const newer = this.entries.filter((entry) => {
        const key = keyOf(entry);
        return !read.has(key) && !this.#keysBefore.has(key) && (entries.length === 0 || entry.at >= entries[0].at);
      });
      this.entries = [...newer, ...entries];
      this.#keys = new Set(this.entries.map(keyOf));
      this.nextPageToken = nextPageToken;
      this.complete = nextPageToken === null;
    } else {
      for (const entry of entries) this.add(entry);
    }
    this.loaded = true;
    this.version += 1;
  }

  /** Takes in the page after the oldest one. */
  addOlder({ entries, nextPageToken }) {
    for (const entry of entries) {
      if (this.#keys.has(keyOf(entry))) continue;
      this.#keys.add(keyOf(entry));
      this.entries.push(entry);
    }
    this.nextPageToken = nextPageToken;
    this.complete = nextPageToken === null;
    this.version += 1;
  }

  get isFull() {
    return this.entries.length >= MAX_ENTRIES;
  }

  /** Whether everything since `millis` is here and the capacity it began with, or all that can be. */
  reaches(millis) {
    const begin = ({ kind, at }) => kind === "reading" && Date.parse(at) <= millis;
    return this.complete || this.isFull || this.entries.some(begin);
  }

  #trim() {
    if (this.entries.length <= MAX_ENTRIES) return;
    for (const dropped of this.entries.splice(MAX_ENTRIES)) this.#keys.delete(keyOf(dropped));
    // What was dropped cannot be asked for again: page tokens continue after it.
    this.nextPageToken = null;
    this.complete = false;
  }

  /** A span that shows the last jobs, with some air. */
  automaticSpan(now) {
    let seen = 0;
    let since = this.entries.length > 0 ? Date.parse(this.entries.at(-1).at) : now;
    for (const entry of this.entries) {
      if (entry.kind !== "job_accepted") continue;
      since = Date.parse(entry.at);
      if (++seen === JOBS_TO_SHOW) break;
    }
    const needed = (now - since) * 1.1;
    return AUTOMATIC_SPANS.find((span) => span >= needed) ?? AUTOMATIC_SPANS.at(-1);
  }
}

/**
 * What is drawn between `from` and `to`: capacity and target at each moment where one of them changes, and the changes.
 * `jobs` tell the target where the timeline does not: of deltas, and of a job that began before what is here.
 */
export function drawing(history, from, to, jobs, activeJob) {
  const { readings, targets, markers } = curves(history.entries.toReversed(), jobs, activeJob);
  const times = new Set([from, to]);
  for (const [at] of [...readings, ...targets]) if (at > from && at < to) times.add(at);
  // A step that ends holds until the moment of its end.
  for (const [at, target] of targets) if (target === null && at - 1 > from && at <= to) times.add(at - 1);
  const x = [...times].sort((a, b) => a - b);
  const capacity = valuesAt(x, readings);
  const target = valuesAt(x, targets);
  return { x, capacity, target, markers: markers.filter(({ at }) => at >= from && at <= to) };
}

/** A target that was not reached is off the scale beyond so many times all else: it would press the rest together. */
const MOST_BEYOND = 3;
const LEAST_BEYOND = 12;

/** The targets that fit into the plot, and marks in the place of those that do not. `missed` are the jobs that did not reach theirs. */
function cutOff(targets, readings, missed) {
  const others = targets.filter(([, , job]) => !missed.has(job));
  const most = Math.max(LEAST_BEYOND / MOST_BEYOND, ...[...readings, ...others].map(([, units]) => units ?? 0));
  const isBeyond = ([, units, job]) => units !== null && missed.has(job) && units > MOST_BEYOND * most;
  return {
    targets: targets.map((piece) => (isBeyond(piece) ? [piece[0], null] : piece)),
    beyond: targets.filter(isBeyond).map(([at, units]) => ({ at, op: "beyond", from: units, to: units, outcome: "beyond" })),
  };
}

const firstTarget = (job) => job?.retargets?.[0]?.from ?? job?.targetCapacity ?? null;

/** The other targets that a policy gave a job since it was accepted. */
const retargetsOf = (job) => (job?.retargets ?? []).map(({ at, to }) => [Date.parse(at), to]);

function curves(oldestFirst, jobs, activeJob) {
  const readings = [];
  const targets = [];
  const active = jobs.get(activeJob);
  if (active?.startedAt && !oldestFirst.some(({ kind, job }) => kind === "job_started" && job === activeJob)) {
    targets.push([Date.parse(active.startedAt), firstTarget(active)], ...retargetsOf(active));
  }
  const markers = [];
  const accepted = new Map();
  const changes = new Map();
  const missed = new Set();
  let running = null;
  for (const entry of oldestFirst) {
    const at = Date.parse(entry.at);
    switch (entry.kind) {
      case "reading":
        readings.push([at, entry.capacity]);
        break;
      case "job_accepted":
        accepted.set(entry.job, entry.targetCapacity);
        break;
      case "job_started":
        running = entry.job;
        targets.push([at, accepted.get(running) ?? firstTarget(jobs.get(running)), running], ...retargetsOf(jobs.get(running)));
        break;
      case "job_ended":
        if (entry.state !== "succeeded") missed.add(entry.job);
        if (running === entry.job) {
          targets.push([at, null]);
          running = null;
        }
        break;
      case "change_sent": {
        const marker = { at, op: entry.op, from: entry.fromCapacity, to: entry.toCapacity, outcome: "pending" };
        changes.set(entry.job, marker);
        markers.push(marker);
        break;
      }
      case "change_resolved": {
        // A job has one change under way at a time.
        const marker = changes.get(entry.job);
        if (marker) marker.outcome = entry.outcome;
        break;
      }
      case "external_change":
        markers.push({ at, op: "external", from: entry.fromCapacity, to: entry.toCapacity, outcome: "external" });
        break;
    }
  }
  const { targets: shown, beyond } = cutOff(targets, readings, missed);
  return { readings, targets: shown, markers: [...markers, ...beyond] };
}

/** The value that `steps` (pairs of time and value, in order) have at each of `times`, which are in order. */
export function valuesAt(times, steps) {
  let next = 0;
  let value = null;
  return times.map((time) => {
    while (next < steps.length && steps[next][0] <= time) value = steps[next++][1];
    return value;
  });
}
