/** The values of the metric that a plot shows: which metric, how closely it is read, and what is drawn of it. */

const SECOND = 1_000;
/** Distances of points. Those in between would not be told apart. */
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].map((seconds) => seconds * SECOND);
const MOST_POINTS = 300;

/** Values are read again after a step; more often is a burden, and less often leaves the line behind. */
const LEAST_RENEW_MILLIS = 2 * SECOND;
const MOST_RENEW_MILLIS = 60 * SECOND;

/** What is asked for to draw `name` since `from`: the distance of points, and a beginning that is a multiple of it. */
export function wanted(name, from, now) {
  const step = STEPS.find((step) => (now - from) / step <= MOST_POINTS) ?? STEPS.at(-1);
  return { name, step, from: Math.floor(from / step) * step - step };
}

/**
 * Whether the values that `wish` names are to be read: if others are known, or if the known ones are old. `at` is the browser's
 * time; that of the gateway goes `speed` times as fast.
 */
export function isDue(known, wish, at, speed = 1) {
  if (!known) return true;
  if (known.isLoading) return false;
  const isSame = known.name === wish.name && known.step === wish.step && known.from <= wish.from;
  return !isSame || at - known.askedAt >= Math.min(MOST_RENEW_MILLIS, Math.max(LEAST_RENEW_MILLIS, wish.step / speed));
}

/** The metric of the rule that wants most, or the first one of the policy; null without metrics. */
export function decidingMetric(text, decision) {
  if (!text) return null;
  const names = Object.keys(text.metrics ?? {});
  const metricOf = (rule) => text.rules.find(({ name }) => name === rule)?.metric;
  const wishes = (decision?.rules ?? []).filter(({ name, wants }) => wants !== null && names.includes(metricOf(name)));
  const highest = wishes.toSorted((a, b) => b.wants - a.wants)[0];
  return highest ? metricOf(highest.name) : (names[0] ?? null);
}

/**
 * The values of a metric as pairs of time and value, in order, with null where it was missing: no newer value came for as
 * long as the policy goes by one. `decisions` have values that came after those that were read.
 */
export function valuesOf({ name, step, points }, decisions, text) {
  const read = points.map(({ at, mean }) => [Date.parse(at), mean]);
  const readUntil = read.length > 0 ? read.at(-1)[0] + step : -Infinity;
  const told = decisions
    .flatMap(({ metrics, lastMetrics }) => [metrics[name], lastMetrics?.[name]])
    .filter((metric) => metric?.observedAt && metric.value !== null)
    .map(({ observedAt, value }) => [Date.parse(observedAt), value])
    .filter(([at]) => at >= readUntil)
    .sort(([a], [b]) => a - b);
  const longest = (text.metrics[name]?.maxAgeSeconds ?? 0) * SECOND + step;
  const all = [];
  for (const [at, value] of [...read, ...told]) {
    const before = all.at(-1);
    if (before && at - before[0] > longest) all.push([before[0] + longest, null]);
    if (before?.[0] !== at) all.push([at, value]);
  }
  return all;
}
