/**
 * Capacity over time as a step plot: the capacity, the target of the job that runs, and the changes; where the drawing has
 * them, also a metric with an axis of its own, and beyond now the plan and what is expected. Drawn by uPlot; its colours are
 * those of the style sheet.
 */

import * as format from "./format.js";
import { drawAhead, drawMarkers, drawNow } from "./plotmarks.js";
import { readout } from "./timeplot.js";
import { Component, h } from "./vendor/preact.mjs";
import uPlot from "./vendor/uPlot.esm.js";
import { timeZone } from "./zone.js";

const stepped = uPlot.paths.stepped({ align: 1 });

const SECOND = 1000;
const HOUR = 3600 * SECOND;
/** Distances of marks on the time axis. Marks closer than a second would have the same text. */
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800]
  .map((seconds) => seconds * SECOND)
  .concat([1, 2, 3, 6, 12, 24, 48, 168].map((hours) => hours * HOUR));

/** Room that the text at a mark of the time axis needs on each side, in CSS pixels. */
const MARK_ROOM = 24;

const colours = (element) => {
  const style = getComputedStyle(element);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: of("muted"),
    grid: of("grid"),
    surface: of("surface"),
    run: of("run"),
    runSoft: of("run-soft"),
    target: of("target"),
    metric: of("metric"),
    expected: of("warn-soft"),
    good: of("good"),
    warn: of("warn"),
    bad: of("bad"),
  };
};

const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

export class Plot extends Component {
  #plot = null;
  #element = null;
  #resized = null;
  #wasDark = false;
  #zone = null;

  shouldComponentUpdate(next) {
    return next.drawing !== this.props.drawing || isDark() !== this.#wasDark || timeZone() !== this.#zone;
  }

  componentDidMount() {
    this.#create();
    this.#resized = new ResizeObserver(() => this.#plot?.setSize(this.#size()));
    this.#resized.observe(this.#element);
  }

  componentDidUpdate() {
    if (isDark() !== this.#wasDark || timeZone() !== this.#zone) {
      this.#plot.destroy();
      this.#create();
      return;
    }
    this.#plot.setData(this.#data());
  }

  componentWillUnmount() {
    this.#resized.disconnect();
    this.#plot.destroy();
  }

  #size() {
    return { width: Math.max(this.#element.clientWidth, 100), height: this.props.height };
  }

  #data() {
    const { x, capacity, target, planned = [], metric = [] } = this.props.drawing;
    return [x, metric, capacity, target, planned];
  }

  #create() {
    this.#wasDark = isDark();
    this.#zone = timeZone();
    const colour = colours(this.#element);
    const font = `11px ${getComputedStyle(this.#element).fontFamily}`;
    const axis = { stroke: colour.text, font, ticks: { show: false }, grid: { stroke: colour.grid, width: 1 } };
    const options = {
      ...this.#size(),
      ms: 1,
      padding: [8, 12, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        x: { time: true, range: () => [this.props.from, this.props.to] },
        y: { range: (plot, least, most) => capacityRange(least, most, this.props.drawing.top) },
        metric: { range: (plot, least, most) => metricRange(least, most) },
      },
      axes: [
        {
          ...axis,
          size: 20,
          gap: 4,
          space: 80,
          incrs: TIME_STEPS,
          grid: { show: false },
          values: (plot, marks) => this.#ticks(plot, marks),
        },
        {
          ...axis,
          size: (plot, values) => axisSize(values),
          space: 26,
          incrs: wholeSteps(),
          values: (plot, marks) => marks.map((mark) => format.number(mark)),
        },
        {
          ...axis,
          scale: "metric",
          side: 1,
          stroke: colour.metric,
          grid: { show: false },
          // Without a metric the axis takes no room.
          size: (plot, values) => (this.#hasMetric() ? axisSize(values) : 0),
          space: 26,
          values: (plot, marks) => marks.map((mark) => (this.#hasMetric() ? format.value(mark) : "")),
        },
      ],
      series: [
        {},
        { scale: "metric", stroke: colour.metric, width: 1, paths: stepped, points: { show: false } },
        { stroke: colour.run, fill: colour.runSoft, width: 2, paths: stepped, points: { show: false } },
        { stroke: colour.target, width: 1.5, dash: [5, 4], paths: stepped, points: { show: false } },
        { stroke: colour.run, width: 1.5, dash: [2, 2], paths: stepped, points: { show: false } },
      ],
      hooks: {
        drawAxes: [(plot) => drawAhead(plot, this.props.drawing.expected ?? [], colour)],
        draw: [
          (plot) => drawMarkers(plot, this.props.drawing.markers, colour, font),
          (plot) => drawNow(plot, this.props.drawing.now ?? null, colour, font),
          (plot) => this.#tellEdges(plot),
        ],
        setCursor: [(plot) => this.#read(plot)],
      },
    };
    this.#plot = new uPlot(options, this.#data(), this.#element);
  }

  #hasMetric() {
    return (this.props.drawing.metricName ?? null) !== null;
  }

  /** Tells what is below the plot where its time axis begins and ends. */
  #tellEdges({ bbox, width }) {
    const [left, across] = [bbox.left, bbox.width].map((size) => size / devicePixelRatio);
    const { style } = this.#element.parentElement;
    style.setProperty("--plot-left", `${left}px`);
    style.setProperty("--plot-right", `${width - left - across}px`);
  }

  #ticks(plot, marks) {
    // A mark at an edge would be cut off.
    const isInside = (x) => x > MARK_ROOM && x < plot.bbox.width / devicePixelRatio - MARK_ROOM;
    const span = this.props.to - this.props.from;
    return marks.map((mark) => (isInside(plot.valToPos(mark, "x")) ? format.tick(mark, span) : ""));
  }

  /** Tells what is under the pointer. */
  #read(plot) {
    const place = this.#element?.parentElement.querySelector(".readout");
    if (!place) return;
    const { left } = plot.cursor;
    // The value is that of the last step before the pointer, not that of the nearest.
    place.textContent = left === null || left < 0 ? "" : readout(this.props.drawing, plot.posToVal(left, "x"));
  }

  render({ label, height, children }) {
    return h(
      "div",
      { class: "plot" },
      h("div", { class: "readout", "aria-hidden": "true" }),
      h("div", {
        class: "canvas",
        role: "img",
        "aria-label": label,
        style: { height: `${height}px` },
        ref: (element) => (this.#element = element ?? this.#element),
      }),
      children,
    );
  }
}

/** Steps of 1, 2 and 5: capacities are whole. */
const wholeSteps = () => [1, 10, 100, 1e3, 1e4, 1e5].flatMap((size) => [size, 2 * size, 5 * size]);

/** Room for the texts of an axis. */
const axisSize = (values) => 16 + 7 * Math.max(1, ...(values ?? []).map((value) => value.length));

/** From zero, so that heights can be compared, with some room above. `top` is what else is drawn at most. */
function capacityRange(least, most, top = 0) {
  const highest = Math.max(most ?? 0, top);
  if (highest === 0) return [0, 4];
  return [0, highest + Math.max(1, Math.ceil(highest * 0.1))];
}

/** From zero, unless there is less. */
const metricRange = (least, most) => (most === null ? [0, 1] : [Math.min(0, least), most > 0 ? most * 1.1 : 1]);
