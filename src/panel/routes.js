/** The addresses of the panel's pages. They live after the `#`, so that a link to one is a link to `/`. */

import { isGroup } from "./need.js";

export const STATES = ["queued", "running", "succeeded", "failed", "canceled", "superseded"];
/** Those of a job that is not over. */
export const UNFINISHED = ["queued", "running"];
export const GROUP_STATES = ["queued", "running", "restoring", "succeeded", "failed", "canceled"];
export const UNFINISHED_GROUPS = ["queued", "running", "restoring"];

function filtered(page, { resource = "", states = [] } = {}) {
  const query = new URLSearchParams();
  if (resource) query.set("resource", resource);
  for (const state of states) query.append("state", state);
  return query.size > 0 ? `#/${page}?${query}` : `#/${page}`;
}

export const hrefs = {
  resources: "#/",
  /** The resources in a group: failing, stuck, … */
  need: (group) => `#/?${new URLSearchParams({ need: group })}`,
  resource: (alias) => `#/resources/${encodeURIComponent(alias)}`,
  job: (id) => `#/jobs/${encodeURIComponent(id)}`,
  jobs: (filter) => filtered("jobs", filter),
  group: (id) => `#/groups/${encodeURIComponent(id)}`,
  groups: (filter) => filtered("groups", filter),
  scaleSeveral: "#/scale-several",
  access: "#/access",
  about: "#/about",
  /** The form filled in as for a job that is over. */
  again: ({ resource, id }) => `#/scale?${new URLSearchParams({ resource, again: id })}`,
  scale: (alias) => (alias ? `#/scale?${new URLSearchParams({ resource: alias })}` : "#/scale"),
};

/** The page that `hash` is the address of. */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split("?", 2);
  const parameters = new URLSearchParams(query);
  let parts;
  try {
    parts = path
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
  } catch {
    return { name: "nowhere", params: {} };
  }
  const [first, second] = parts;
  if (parts.length === 0) {
    const need = parameters.get("need") ?? "";
    return { name: "resources", params: { need: isGroup(need) ? need : "" } };
  }
  if (first === "resources" && parts.length === 2) return { name: "resource", params: { alias: second } };
  if (first === "jobs" && parts.length === 2) return { name: "job", params: { id: second } };
  if (first === "groups" && parts.length === 2) return { name: "group", params: { id: second } };
  if (["access", "about", "scale-several"].includes(first) && parts.length === 1) return { name: first, params: {} };
  if (first === "scale" && parts.length === 1)
    return { name: "scale", params: { alias: parameters.get("resource") ?? "", again: parameters.get("again") ?? "" } };
  if (["jobs", "groups"].includes(first) && parts.length === 1) {
    const known = first === "jobs" ? STATES : GROUP_STATES;
    const states = parameters.getAll("state").filter((state) => known.includes(state));
    return { name: first, params: { resource: parameters.get("resource") ?? "", states } };
  }
  return { name: "nowhere", params: {} };
}
