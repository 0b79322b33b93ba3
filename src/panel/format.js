/** Times, durations and numbers as people read them. */

import { gatewayNow } from "./clock.js";
import { written } from "./zone.js";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 20 });

export const number = (value) => (value === null || value === undefined ? "–" : NUMBER.format(value));
/** A value of a metric: a whole number of up to 15 digits as it is, anything else with six digits. */
export function value(value) {
  if (value === null) return "–";
  if (Number.isSafeInteger(value)) return NUMBER.format(value);
  const size = Math.abs(value);
  return size < 1e-6 || size >= 1e15 ? value.toExponential(5) : NUMBER.format(Number(value.toPrecision(6)));
}
export const signed = (value) => (value > 0 ? `+${NUMBER.format(value)}` : NUMBER.format(value).replace("-", "−"));

/** `12:03:07`, with the day if it is not today's. */
export function time(at) {
  const moment = new Date(at);
  const { clock, dayOfYear, date } = written();
  const isToday = date.format(moment) === date.format(gatewayNow());
  return isToday ? clock.format(moment) : `${dayOfYear.format(moment)} ${clock.format(moment)}`;
}

/** `31 Jan 2027`, or the time if that is what matters. */
export function day(at) {
  const isNear = Math.abs(new Date(at) - gatewayNow()) < 2 * DAY * 1000;
  return isNear ? time(at) : written().date.format(new Date(at));
}

/** A mark on an axis that covers `span` milliseconds. */
export function tick(at, span) {
  const { clock, shortClock, dayOfYear } = written();
  if (span <= 10 * MINUTE * 1000) return clock.format(at);
  return (span <= 2 * DAY * 1000 ? shortClock : dayOfYear).format(at);
}

/** A duration in seconds with its two largest units: `1 h 5 min`, `40 s`, `0.4 s`. */
export function duration(seconds) {
  if (seconds < 10 && !Number.isInteger(seconds)) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  if (whole < MINUTE) return `${whole} s`;
  const units = [
    ["d", DAY],
    ["h", HOUR],
    ["min", MINUTE],
    ["s", 1],
  ];
  const first = units.findIndex(([, size]) => whole >= size);
  const parts = units.slice(first, first + 2).map(([unit, size], index) => {
    const count = index === 0 ? Math.floor(whole / size) : Math.floor((whole % units[first][1]) / size);
    return count > 0 ? `${count} ${unit}` : "";
  });
  return parts.filter(Boolean).join(" ");
}

const UNIT_SECONDS = { s: 1, min: MINUTE, m: MINUTE, h: HOUR, d: DAY };
const DURATION = /^(?:\d+(?:\.\d+)?\s*(?:s|min|m|h|d)\s*)+$/;
const PART = /(\d+(?:\.\d+)?)\s*(s|min|m|h|d)/g;

/** The seconds of a duration such as `4h`, `1h 30m` or `90 min`; null if the text is none. */
export function secondsOf(text) {
  const trimmed = text.trim().toLowerCase();
  if (!DURATION.test(trimmed)) return null;
  return [...trimmed.matchAll(PART)].reduce((sum, [, count, unit]) => sum + Number(count) * UNIT_SECONDS[unit], 0);
}

/** A duration as it is written, and read again as the same. */
export function exactDuration(seconds) {
  const text = duration(seconds);
  return secondsOf(text) === seconds ? text : `${seconds} s`;
}

/** What is left of a wait, as a clock that runs down: `4:05`, `1:00:00`. */
export function countdown(millis) {
  const seconds = Math.max(0, Math.ceil(millis / 1000));
  const two = (value) => String(value).padStart(2, "0");
  const minutes = Math.floor(seconds / MINUTE);
  if (minutes < 60) return `${minutes}:${two(seconds % MINUTE)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % MINUTE)}`;
}

/** How far ahead a moment is, to be put behind its time: `, in 40 s`. Nothing if it is over. */
export const ahead = (millis) => (millis >= 500 ? `, in ${duration(Math.round(millis / 1000))}` : "");

/** How long ago: `just now`, `40 s ago`, `3 min ago`. */
export function ago(millis) {
  const seconds = Math.max(0, millis / 1000);
  if (seconds < 5) return "just now";
  if (seconds < MINUTE) return `${Math.floor(seconds / 5) * 5} s ago`;
  const [unit, size] = seconds < HOUR ? ["min", MINUTE] : seconds < DAY ? ["h", HOUR] : ["d", DAY];
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

/** A sentence of the gateway, with the times and arrows in it as the panel writes them. */
export const sentence = (text) =>
  text.replaceAll(" -> ", " → ").replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, (at) => time(at));

/** What went wrong, which the gateway puts as the end of a sentence of its own, as a sentence by itself. */
export function complaint(text) {
  const whole = sentence(text.trim());
  return `${whole.charAt(0).toUpperCase()}${whole.slice(1)}${/[.!?]$/.test(whole) ? "" : "."}`;
}

/** Enough of an id to tell jobs apart. The beginning of a UUIDv7 is a time and the same for jobs of one day. */
export const shortId = (id) => id.slice(-8);
