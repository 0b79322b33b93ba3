/**
 * Capacity over time as a step plot: the capacity, the target of the job that runs, and the changes. Drawn by uPlot; its
 * colours are those of the style sheet.
 */

import * as format from "./format.js";
import { Component, h } from "./vendor/preact.mjs";
import uPlot from "./vendor/uPlot.esm.js";

const stepped = uPlot.paths.stepped({ align: 1 });

/** Half the size of a marker, in CSS pixels. */
const MARKER = 5;

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

  shouldComponentUpdate(next) {
    return next.identity !== this.props.identity || isDark() !== this.#wasDark;
  }

  componentDidMount() {
    this.#create();
    this.#resized = new ResizeObserver(() => this.#plot?.setSize(this.#size()));
    this.#resized.observe(this.#element);
  }

  componentDidUpdate() {
    if (isDark() !== this.#wasDark) {
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
    const { x, capacity, target } = this.props.drawing;
    return [x, capacity, target];
  }

  #create() {
    this.#wasDark = isDark();
    const colour = colours(this.#element);
    const font = `11px ${getComputedStyle(this.#element).fontFamily}`;
    const axis = { stroke: colour.text, font, ticks: { show: false }, grid: { stroke: colour.grid, width: 1 } };
    const options = {
      ...this.#size(),
      ms: 1,
      padding: [8, 12, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: true, range: () => [this.props.from, this.props.to] }, y: { range: capacityRange } },
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
          size: (plot, values) => 16 + 7 * Math.max(1, ...(values ?? []).map((value) => value.length)),
          space: 26,
          incrs: wholeSteps(),
          values: (plot, marks) => marks.map((mark) => format.number(mark)),
        },
      ],
      series: [
        {},
        { stroke: colour.run, fill: colour.runSoft, width: 2, paths: stepped, points: { show: false } },
        { stroke: colour.target, width: 1.5, dash: [5, 4], paths: stepped, points: { show: false } },
      ],
      hooks: {
        draw: [(plot) => drawMarkers(plot, this.props.drawing.markers, colour)],
        setCursor: [(plot) => this.#read(plot)],
      },
    };
    this.#plot = new uPlot(options, this.#data(), this.#element);
  }

  #ticks(plot, marks) {
    // A mark at an edge would be cut off.
    const isInside = (x) => x > MARK_ROOM && x < plot.bbox.width / devicePixelRatio - MARK_ROOM;
    const span = this.props.to - this.props.from;
    return marks.map((mark) => (isInside(plot.valToPos(mark, "x")) ? format.tick(mark, span) : ""));
  }

  /** Tells what is under the pointer. */
  #read(plot) {
    const readout = this.#element?.parentElement.querySelector(".readout");
    if (!readout) return;
    const { left } = plot.cursor;
    if (left === null || left < 0) {
      readout.textContent = "";
      return;
    }
    // The value is that of the last step before the pointer, not that of the nearest.
    const at = plot.posToVal(left, "x");
    const { x, capacity, target } = this.props.drawing;
    const index = x.findLastIndex((time) => time <= at);
    if (index < 0) return;
    const wish = target[index] === null ? "" : `, target ${format.number(target[index])}`;
    readout.textContent = `${format.time(at)}  capacity ${format.number(capacity[index])}${wish}`;
  }

  render({ label, height }) {
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
    );
  }
}

/** Steps of 1, 2 and 5: capacities are whole. */
const wholeSteps = () => [1, 10, 100, 1e3, 1e4, 1e5].flatMap((size) => [size, 2 * size, 5 * size]);

/** From zero, so that heights can be compared, with some room above. */
function capacityRange(plot, least, most) {
  if (least === null || most === null) return [0, 4];
  return [0, most + Math.max(1, Math.ceil(most * 0.1))];
}

function drawMarkers(plot, markers, colour) {
  const { ctx } = plot;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.setLineDash([]);
  ctx.lineJoin = "round";
  ctx.lineWidth = 1.5 * scale;
  let room = -Infinity;
  for (const { at, op, from, to, outcome } of markers) {
    const x = plot.valToPos(at, "x", true);
    // Where they would cover each other, only those are drawn that are worth a look.
    if (outcome === "confirmed" && x < room) continue;
    room = x + 2 * MARKER * scale;
    const y = plot.valToPos(op === "external" ? to : from, "y", true);
    const tone = { confirmed: colour.good, pending: colour.run, rejected: colour.bad }[outcome] ?? colour.warn;
    // Filled is a change that had its effect. Its edge sets it off from the line it stands on.
    const isKnown = outcome === "confirmed";
    ctx.fillStyle = isKnown ? tone : colour.surface;
    ctx.strokeStyle = isKnown ? colour.surface : tone;
    ctx.beginPath();
    outline(ctx, op, x, y, MARKER * scale);
    ctx.closePath();
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}

/** A triangle that points where the capacity was to go; a diamond for a change by others. */
function outline(ctx, op, x, y, size) {
  if (op === "external") {
    ctx.moveTo(x, y - size);
    ctx.lineTo(x + size, y);
    ctx.lineTo(x, y + size);
    ctx.lineTo(x - size, y);
    return;
  }
  const tip = op === "add" ? -size : size;
  ctx.moveTo(x, y + tip);
  ctx.lineTo(x + size, y - tip);
  ctx.lineTo(x - size, y - tip);
}
