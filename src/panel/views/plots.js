/** Capacity over time as the pages show it: plots with their legend and their span, and the small ones of tables. */

import { gatewayNow } from "../clock.js";
import { SPANS, drawing } from "../history.js";
import { extendHistory } from "../loading.js";
import { cause, knownUntil } from "../outage.js";
import { Plot } from "../plot.js";
import { changed, store } from "../store.js";
import { describePast } from "../timeplot.js";
import { Component, h } from "../vendor/preact.mjs";

/** Why there is nothing to draw of a timeline yet; null if there is. */
export function whyNoPlot(known) {
  if (known?.loaded) return known.entries.length === 0 ? "Nothing has happened yet." : null;
  return known?.problem ? `The timeline cannot be read: ${known.problem.message}` : "Reading the timeline…";
}

export const NoPlot = ({ height, why }) => h("div", { class: "plot-missing", style: { height: `${height}px` } }, why);

/** A plot of a resource between two moments; without them, of the latest span, which moves on with time. */
export function ResourcePlot({ alias, height, begin, end, span }) {
  const known = store.histories.get(alias);
  const why = whyNoPlot(known);
  if (why) return h(NoPlot, { height, why });
  const now = gatewayNow();
  const millis = span ?? (begin === undefined ? known.automaticSpan(now) : undefined);
  // A picture that moves by less than a pixel is not drawn again.
  const pixel = Math.max(1000, (millis ?? now - begin) / 400);
  const to = end ?? Math.ceil(now / pixel) * pixel;
  const from = begin ?? to - millis;
  // Not while drawing.
  if (!known.reaches(from)) queueMicrotask(() => extendHistory(alias, from));
  const activeJob = store.resources?.get(alias)?.activeJob;
  const activeTarget = store.jobs.get(activeJob)?.targetCapacity;
  // The line ends where nothing is known any more.
  const until = Math.max(from, cause() === null ? to : Math.min(to, knownUntil()));
  const identity = [alias, known.version, from, to, until, activeJob, activeTarget].join(" ");
  return h(MemoPlot, { alias, known, from, to, until, activeJob, height, identity });
}

/** Works out what is drawn only when it changed: pages are drawn every second. */
class MemoPlot extends Component {
  #identity;
  #drawing;

  render({ alias, known, from, to, until, activeJob, height, identity }) {
    if (identity !== this.#identity) {
      this.#identity = identity;
      this.#drawing = drawing(known, from, until, store.jobs, activeJob);
    }
    return h(Plot, { drawing: this.#drawing, from, to, height, label: describePast(alias, this.#drawing, from, to) });
  }
}

let chosenSpan = null;

export const currentSpan = () => SPANS.find(([name]) => name === chosenSpan)?.[1];

/** The choice of a plot's span; none chosen means that the panel chooses. */
export const SpanChoice = ({ children }) =>
  h("div", { class: "segments", role: "group", "aria-label": "Time shown" },
    [null, ...SPANS.map(([name]) => name)].map((name) =>
      h("button", {
        key: name, type: "button", "aria-pressed": String(chosenSpan === name),
        onClick: () => {
          chosenSpan = name;
          changed();
        },
      }, name ?? "Auto")), children);

/** Each as the plot draws it. */
const LEGEND = [
  ["capacity", "capacity", "M0 5h14"],
  ["target", "target", "M0 5h5m4 0h5"],
  ["change", "change", "m7 0 5 10H2Z"],
  ["unknown", "not confirmed", "m7 0 5 10H2Z"],
  ["external", "by others", "m7 0 5 5-5 5-5-5Z"],
];

/** What the lines and marks of plots mean; of small plots, the lines. `more` are those of one plot. */
export const Legend = ({ isSmall = false, more = [] }) =>
  h("ul", { class: "legend", "aria-hidden": "true" }, [...LEGEND.slice(0, isSmall ? 2 : LEGEND.length), ...more].map(([name, text, path]) =>
    h("li", { key: name },
      h("svg", { class: `of-${name}`, viewBox: "-1 -1 16 12" }, h("path", { d: path })), text)));

/** The least and the longest time that small plots show, and their size in units of the picture. */
const LEAST_SPARK_MILLIS = 5 * 60_000;
const MOST_SPARK_MILLIS = 60 * 60_000;
const SPARK_WIDTH = 96;
const SPARK_HEIGHT = 22;

/** The time that all small plots of a table show: what is needed for the last jobs of the one that needs most. */
export function sparkSpan(aliases) {
  const known = aliases.map((alias) => store.histories.get(alias)).filter((known) => known?.loaded);
  const spans = known.map((history) => history.automaticSpan(gatewayNow()));
  return Math.min(MOST_SPARK_MILLIS, Math.max(LEAST_SPARK_MILLIS, ...spans));
}

/** A small plot from 0 on, for a row of a table; nothing while its timeline is not known. */
export function Sparkline({ alias, span }) {
  const known = store.histories.get(alias);
  if (!known?.loaded || known.entries.length === 0) return null;
  const pixel = span / SPARK_WIDTH;
  const to = Math.ceil(gatewayNow() / pixel) * pixel;
  return h(MemoSparkline, { alias, known, to, span, identity: `${alias} ${known.version} ${span} ${to}` });
}

class MemoSparkline extends Component {
  shouldComponentUpdate(next) {
    return next.identity !== this.props.identity;
  }

  render({ alias, known, to, span }) {
    const from = to - span;
    const drawn = drawing(known, from, to, store.jobs, store.resources?.get(alias)?.activeJob);
    const values = [...drawn.capacity, ...drawn.target].filter((value) => value !== null);
    const most = Math.max(1, ...values);
    const place = (at, value) => [
      ((at - from) / span) * SPARK_WIDTH,
      SPARK_HEIGHT - 1.5 - (value / most) * (SPARK_HEIGHT - 3),
    ];
    return h("svg", {
      class: "spark", viewBox: `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`, preserveAspectRatio: "none", role: "img",
      "aria-label": describePast(alias, drawn, from, to),
    },
      h("path", { class: "spark-target", d: stepPath(drawn.x, drawn.target, place) }),
      h("path", { class: "spark-capacity", d: stepPath(drawn.x, drawn.capacity, place) }));
  }
}

/** A line that keeps each of `values` until the next one; where there is none, it is interrupted. */
export function stepPath(x, values, place) {
  let path = "";
  let before = null;
  x.forEach((at, index) => {
    const value = values[index];
    const [left, top] = place(at, value ?? before ?? 0).map((number) => number.toFixed(1));
    if (before !== null) path += `H${left}`;
    if (value !== null) path += before === null ? `M${left} ${top}` : `V${top}`;
    before = value;
  });
  return path;
}
