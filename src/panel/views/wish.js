/** What the form to scale asks, and the request that comes of it. */

import { exactDuration, secondsOf } from "../format.js";

/** The settings of a job: name in requests and answers, label, what it means, and unit. All of them are in `SETTINGS`. */
export const STEP_SIZE = ["stepSize", "Step size", "most units changed in one step", ""];
export const COOLDOWN = ["cooldownSeconds", "Cooldown", "least time between two changes", "s"];
export const ADVANCED = [
  ["settleSeconds", "Settle", "how long a change may take to show in readings", "s"],
  ["activeTimeoutSeconds", "Active timeout", "longest wait for the resource to become ready", "s"],
  ["pollIntervalSeconds", "Poll interval", "longest time between two readings", "s"],
  ["deadlineSeconds", "Deadline", "longest life of the job", "s"],
];
export const SETTINGS = [STEP_SIZE, COOLDOWN, ...ADVANCED];

/** What can be done if the resource is busy. */
export const CONFLICTS = [
  ["reject", "Refuse this job", "and show the other one"],
  ["queue", "Queue it", "behind the other one"],
  ["supersede", "Take its place", "all unfinished jobs of the resource end"],
];

/** The fields of a form as it is before it is filled in. */
export const empty = (resource) => ({
  resource, goal: "target", amount: "", onConflict: "reject", reason: "", labels: "",
  ...Object.fromEntries(SETTINGS.map(([name]) => [name, ""])),
});

/** The fields as they were filled in for `job`; settings that are those of the resource anyway are left to it. */
export function wishedFor(job, standard = {}) {
  const isDelta = job.delta !== null;
  const own = SETTINGS.filter(([name]) => job.settings[name] !== standard[name]);
  return {
    ...empty(job.resource),
    goal: isDelta ? "delta" : "target",
    amount: String(isDelta ? job.delta : job.targetCapacity),
    reason: job.reason ?? "",
    labels: Object.entries(job.labels).map(([name, value]) => `${name}=${value}`).join("\n"),
    ...Object.fromEntries(own.map(([name, , , unit]) => [name, unit ? exactDuration(job.settings[name]) : String(job.settings[name])])),
  };
}

/** The number in a text; null if it is none. */
const wholeOf = (text) => (/^[+-]?\d+$/.test(text) ? Number(text) : null);

/** The seconds in a text. A bare number is one of seconds. */
const lastingOf = (text) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : secondsOf(text));

/** Whether there is enough in the fields to plan for. */
export const isComplete = ({ resource, amount }) => resource.trim() !== "" && amount.trim() !== "";

/** Takes a field into a wish, or what is wrong with it. */
function take({ wish, wrong }, name, text, read, what) {
  const trimmed = text.trim().replace("−", "-");
  if (trimmed === "") return;
  const value = read(trimmed);
  if (value === null) wrong[`/${name}`] = `Enter ${what}`;
  else wish[name] = value;
}

/** The request that the fields describe, and what is wrong with them that the gateway need not tell. */
export function wishOf(fields) {
  const wish = { resource: fields.resource.trim() };
  const wrong = {};
  const goal = fields.goal === "delta" ? "delta" : "targetCapacity";
  if (wish.resource === "") wrong["/resource"] = "Enter a resource";
  if (fields.amount.trim() === "") wrong[`/${goal}`] = goal === "delta" ? "Enter a difference" : "Enter a target";
  take({ wish, wrong }, goal, fields.amount, wholeOf, "a whole number");
  takeSettings(fields, { wish, wrong });
  return { wish, wrong };
}

/** Takes in what is asked for every kind of work: settings, conflicts, reason and labels. */
export function takeSettings(fields, { wish, wrong }) {
  for (const [name, , , unit] of SETTINGS) {
    if (unit) take({ wish, wrong }, name, fields[name], lastingOf, "a duration such as 90 s, 5 min or 1h30m");
    else take({ wish, wrong }, name, fields[name], wholeOf, "a whole number");
  }
  if (fields.onConflict !== "reject") wish.onConflict = fields.onConflict;
  if (fields.reason.trim() !== "") wish.reason = fields.reason.trim();
  const labels = fields.labels.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  if (labels.length === 0) return;
  const pairs = labels.map((line) => line.split(/\s*=\s*(.*)/s, 2));
  const isWrong = pairs.some(([name, value]) => !name || value === undefined);
  const isTwice = new Set(pairs.map(([name]) => name)).size < pairs.length;
  if (isWrong) wrong["/labels"] = "Write one name=value per line";
  else if (isTwice) wrong["/labels"] = "Write each name once";
  else wish.labels = Object.fromEntries(pairs);
}
