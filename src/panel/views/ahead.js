/** What is ahead of a job: its place in line, the steps it has still to take, and when it is probably over. */

import { gatewayNow } from "../api.js";
import * as format from "../format.js";
import { placeInLine, plannedSteps } from "../line.js";
import { whyNoEstimate } from "../outage.js";
import { resourceOf, store } from "../store.js";
import { h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { JobLink, Sign, Time } from "./parts.js";

/** Most planned steps that are listed. */
const MAX_SHOWN = 12;

/** When something is probably over; nothing is estimated while there is nothing to estimate from. */
export function Estimate({ at, what = "over at about " }) {
  if (!at) return null;
  const why = whyNoEstimate();
  if (why) return h("span", { class: "quiet" }, why);
  const left = Date.parse(at) - gatewayNow();
  return h("span", { class: "quiet num" }, left > 0 ? what : "was to be over at about ", h(Time, { at }), format.ahead(left));
}

const isoOf = (millis) => new Date(millis).toISOString();

/** Where a queued job stands. */
export function InLine({ job }) {
  const now = gatewayNow();
  const resource = resourceOf(job.resource);
  const place = resource && placeInLine(job, resource, store.jobs, now);
  const { detail } = job.waitingFor ?? {};
  if (!place) return h("p", { class: "quiet" }, detail ? format.sentence(detail) : "It waits for its turn.");
  const ahead = store.jobs.get(place.ahead);
  return h("div", { class: "doing" },
    h("div", { class: "doing-head" },
      h("strong", { class: "num" }, place.before === 0 ? "Next in line" : `${words.nth(place.before)} in line`),
      place.target !== null && h("span", { class: "num" }, `target ${format.number(place.target)}`),
      h("span", { class: "grow" }),
      place.plan && h(Estimate, { at: isoOf(place.plan.overAt) })),
    place.ahead && h("p", { class: "waiting" }, h(Sign, { name: "clock" }), "Behind ",
      h(JobLink, { id: place.ahead }, ahead ? `the job ${words.goal(ahead)}` : undefined),
      ahead && h("span", { class: "quiet" }, `${words.state(ahead).text.toLowerCase()}${words.by(ahead)}`)),
    job.waitingFor && h("p", { class: "quiet num" }, `Given up at ${format.time(job.deadlineAt)} at the latest.`));
}

/** The steps that a job has still to take, under those it has taken. */
export function PlannedSteps({ job }) {
  const resource = resourceOf(job.resource);
  if (!resource || job.finishedAt) return null;
  const now = gatewayNow();
  const steps = job.state === "queued"
    ? (placeInLine(job, resource, store.jobs, now)?.plan?.steps ?? [])
    : plannedSteps(job, resource, now);
  if (steps.length === 0) return null;
  const more = steps.length - MAX_SHOWN;
  const why = whyNoEstimate();
  return h("div", { class: "planned" },
    h("h2", null, "Planned steps"),
    why && h("p", { class: "quiet" }, `${why}.`),
    h("table", { class: "steps", role: "table" },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ["Step", "Change", "Probably at"].map((name) =>
        h("th", { key: name, role: "columnheader", scope: "col" }, name)))),
      h("tbody", { role: "rowgroup" }, steps.slice(0, MAX_SHOWN).map((step, index) =>
        h("tr", { key: index, role: "row" },
          h("td", { role: "cell", class: "at-index quiet" }, job.steps.length + index + 1),
          h("td", { role: "cell", class: "at-change" }, words.change(step)),
          h("td", { role: "cell", class: "at-outcome quiet num" }, why ? "–" : [
            h(Time, { at: isoOf(step.at) }), format.ahead(step.at - now)]))))),
    more > 0 && h("p", { class: "quiet" }, `and ${format.number(more)} more`));
}
