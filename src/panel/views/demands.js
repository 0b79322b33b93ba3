/** What the forms for holds and claims ask, and the requests that come of it. */

import { gatewayNow } from "../clock.js";
import { secondsOf } from "../format.js";
import { momentOf } from "../zone.js";

/** Longest time that a hold or a claim may last. */
const MAX_SECONDS = 30 * 86_400;

/** What can be stopped, and what that means. */
export const STOPS = [
  ["both", "All new jobs", ""],
  ["up", "New jobs up", "the capacity may only fall"],
  ["down", "New jobs down", "the capacity may only rise"],
];
export const PIN = ["pin", "All but those to a capacity", "where the policy keeps it"];

export const KINDS = [
  ["atLeast", "At least so many units", "in all"],
  ["extra", "So many units more", "than there would be without it"],
];

const ends = (lasting) => ({ ends: "for", lasting, until: "" });

/** The fields of the forms as they are before they are filled in. */
export const emptyHold = () => ({ stops: "both", capacity: "", reason: "", ...ends("4h") });
export const emptyClaim = () => ({ kind: "atLeast", units: "", begins: "now", from: "", owner: "", reason: "", ...ends("2h") });
export const emptyRenewal = () => ends("2h");

/** Puts the end that the fields describe into `wish`, or what is wrong with it into `wrong`. A duration begins at `from`. */
function takeEnd(fields, wish, wrong, from = gatewayNow()) {
  if (fields.ends === "until") {
    const until = takeTime("/until", fields.until, wrong);
    if (until === null) return;
    if (until <= from) wrong["/until"] = "must be in the future, and after the begin";
    else if (until > gatewayNow() + MAX_SECONDS * 1000) wrong["/until"] = "must be within 30 days";
    else wish.until = new Date(until).toISOString();
    return;
  }
  const seconds = secondsOf(fields.lasting);
  if (seconds === null) wrong["/forSeconds"] = "must be a duration such as 4h, 1h 30m or 2d";
  else if (seconds < 1 || seconds > MAX_SECONDS) wrong["/forSeconds"] = "must be between 1 second and 30 days";
  else wish.forSeconds = seconds;
}

function takeTime(pointer, text, wrong) {
  const time = momentOf(text);
  if (!Number.isNaN(time)) return time;
  wrong[pointer] = "must be a day and a time";
  return null;
}

function takeUnits(pointer, text, least, wrong) {
  const trimmed = text.trim();
  if (/^\d+$/.test(trimmed) && Number(trimmed) >= least) return Number(trimmed);
  wrong[pointer] = least > 0 ? "must be a whole number above 0" : "must be a whole number";
  return null;
}

function takeNote(name, fields, wish) {
  const text = fields[name].trim();
  if (text !== "") wish[name] = text;
}

/** The hold that the fields describe, and what is wrong with them. */
export function holdWishOf(fields) {
  const [wish, wrong] = [{}, {}];
  if (fields.stops === "pin") wish.capacity = takeUnits("/capacity", fields.capacity, 0, wrong);
  else wish.direction = fields.stops;
  takeEnd(fields, wish, wrong);
  takeNote("reason", fields, wish);
  return { wish, wrong };
}

/** The claim that the fields describe, and what is wrong with them. */
export function claimWishOf(fields) {
  const [wish, wrong] = [{ kind: fields.kind }, {}];
  wish.units = takeUnits("/units", fields.units, 1, wrong);
  const from = fields.begins === "later" ? takeTime("/from", fields.from, wrong) : null;
  if (from !== null) wish.from = new Date(from).toISOString();
  takeEnd(fields, wish, wrong, Math.max(from ?? 0, gatewayNow()));
  takeNote("owner", fields, wish);
  takeNote("reason", fields, wish);
  return { wish, wrong };
}

/** The new end that the fields describe, and what is wrong with them. */
export function renewalWishOf(fields) {
  const [wish, wrong] = [{}, {}];
  takeEnd(fields, wish, wrong);
  return { wish, wrong };
}
