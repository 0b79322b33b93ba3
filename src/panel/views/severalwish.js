/** What the form to scale several resources asks, and the request that comes of it. */

import { empty as emptyOne, takeSettings } from "./wish.js";

/** Most resources of a group. */
export const MAX_MEMBERS = 64;

/** What can be done if resources are busy. */
export const GROUP_CONFLICTS = [
  ["reject", "Refuse the group", "and show the jobs in the way"],
  ["queue", "Queue its members", "behind the other jobs"],
  ["supersede", "Take their place", "all unfinished jobs of the resources end"],
];

/** `key` tells rows apart while they come and go. */
export const row = (key, stage = "1") => ({ key, resource: "", amount: "", stage });

/** The fields of a form as it is before it is filled in. */
export const empty = () => ({ ...emptyOne(""), members: [row(0), row(1)], onFailure: "stop" });

const isBlank = ({ resource, amount }) => resource.trim() === "" && amount.trim() === "";

/** A capacity, or a difference with its sign: `3`, `+2`, `−1`; `null` if the text is neither. */
export function targetOf(text) {
  const trimmed = text.trim().replace("−", "-");
  if (/^\d+$/.test(trimmed)) return Number(trimmed);
  return /^[+-]\d+$/.test(trimmed) ? { delta: Number(trimmed) } : null;
}

/** Whether there is enough in the fields to plan for: no row is half filled in. */
export function isComplete({ members }) {
  const filled = members.filter((member) => !isBlank(member));
  return filled.length > 0 && filled.every(({ resource, amount }) => resource.trim() !== "" && amount.trim() !== "");
}

/** The request that the fields describe, and what is wrong with them; with a row, by `/members/KEY/…`. */
export function wishOf(fields) {
  const wish = { targets: {} };
  const wrong = {};
  const stages = new Map();
  const filled = fields.members.filter((member) => !isBlank(member));
  for (const { key, resource, amount, stage } of filled.length > 0 ? filled : fields.members.slice(0, 1)) {
    const alias = resource.trim();
    const target = targetOf(amount);
    if (alias === "") wrong[`/members/${key}/resource`] = "Enter a resource";
    else if (Object.hasOwn(wish.targets, alias)) wrong[`/members/${key}/resource`] = "It is there already";
    if (target === null) wrong[`/members/${key}/amount`] = "Enter 3, +2 or −1";
    if (!/^[1-9]\d?$/.test(stage.trim())) wrong[`/members/${key}/stage`] = "Enter 1, 2, …";
    wish.targets[alias] = target;
    const number = Number(stage);
    stages.set(number, [...(stages.get(number) ?? []), alias]);
  }
  if (stages.size > 1) wish.stages = [...stages].sort(([a], [b]) => a - b).map(([, aliases]) => aliases);
  if (fields.onFailure !== "stop") wish.onFailure = fields.onFailure;
  takeSettings(fields, { wish, wrong });
  return { wish, wrong };
}
