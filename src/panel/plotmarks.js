/** What of a plot is no line of uPlot: the signs of changes, what is expected, and the moment that is now. */

import * as format from "./format.js";

/** Half the size of a marker, in CSS pixels. */
const MARKER = 5;

/** Draws with a style of its own that ends with it. */
function within(plot, draw) {
  const { ctx } = plot;
  ctx.save();
  ctx.setLineDash([]);
  ctx.lineJoin = "round";
  draw(ctx, devicePixelRatio);
  ctx.restore();
}

/** What each rule expects: its middle as a line, and above it the band up to its quantile; two thin lines if it does not count. */
export const drawAhead = (plot, expected, colour) =>
  within(plot, (ctx, scale) => {
    const { left, top, width, height } = plot.bbox;
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    ctx.strokeStyle = colour.target;
    ctx.fillStyle = colour.expected;
    for (const { isTrusted, parts } of expected) {
      ctx.lineWidth = (isTrusted ? 1.2 : 0.8) * scale;
      ctx.globalAlpha = isTrusted ? 1 : 0.7;
      if (!isTrusted) ctx.setLineDash([2 * scale, 4 * scale]);
      for (const part of parts) {
        const [middle, upper] = ["middle", "upper"].map((side) => pointsOf(plot, part, side));
        if (isTrusted) {
          trace(ctx, [...upper, ...middle.toReversed()]);
          ctx.fill();
        }
        trace(ctx, middle);
        ctx.stroke();
        if (isTrusted) continue;
        trace(ctx, upper);
        ctx.stroke();
      }
      ctx.setLineDash([]);
    }
  });

/** A line from the beginning of each step; the last one goes to its end. */
function pointsOf(plot, part, side) {
  const last = part.at(-1);
  const points = [...part.map(({ begin, [side]: units }) => [begin, units]), [last.end, last[side]]];
  return points.map(([at, units]) => [plot.valToPos(at, "x", true), plot.valToPos(units, "y", true)]);
}

function trace(ctx, points) {
  ctx.beginPath();
  for (const [x, y] of points) ctx.lineTo(x, y);
}

/** A line between what was and what is ahead. */
export function drawNow(plot, now, colour, font) {
  if (now === null) return;
  within(plot, (ctx, scale) => {
    const { top, height } = plot.bbox;
    const x = plot.valToPos(now, "x", true);
    ctx.strokeStyle = colour.text;
    ctx.fillStyle = colour.text;
    ctx.lineWidth = scale;
    trace(ctx, [[x, top], [x, top + height]]);
    ctx.stroke();
    ctx.font = font.replace("11px", `${11 * scale}px`);
    ctx.textBaseline = "top";
    ctx.fillText("now", x + 4 * scale, top + 2 * scale);
  });
}

export const drawMarkers = (plot, markers, colour, font) =>
  within(plot, (ctx, scale) => {
    ctx.lineWidth = 1.5 * scale;
    let room = -Infinity;
    for (const { at, op, from, to, outcome } of markers) {
      const x = plot.valToPos(at, "x", true);
      if (op === "beyond") {
        drawBeyond(ctx, { x, top: plot.bbox.top, size: MARKER * scale, text: `target ${format.number(to)}`, colour, font, scale });
        continue;
      }
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
  });

/** A target above all that the plot shows: an arrow at its upper edge, and its number. */
function drawBeyond(ctx, { x, top, size, text, colour, font, scale }) {
  ctx.fillStyle = colour.target;
  ctx.beginPath();
  outline(ctx, "add", x, top + size, size);
  ctx.closePath();
  ctx.fill();
  ctx.font = font.replace("11px", `${11 * scale}px`);
  ctx.textBaseline = "top";
  ctx.fillText(text, x + 2 * size, top);
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
