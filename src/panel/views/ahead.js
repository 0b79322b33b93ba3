/** What is ahead of a job, as the gateway tells it: its place in line, and when it is probably over. */

import { gatewayNow } from "../clock.js";
import { activeJobOf } from "../fleet.js";
import * as format from "../format.js";
import { placeInLine } from "../line.js";
import { whyNoEstimate } from "../outage.js";
import { resourceOf, store } from "../store.js";
import { h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { JobLink, Sign, Time } from "./parts.js";

/** When something is probably over; nothing is estimated while there is nothing to estimate from. */
export function Estimate({ at, what = "" }) {
  if (!at) return null;
  const why = whyNoEstimate();
  if (why) return h("span", { class: "quiet" }, why);
  const left = Date.parse(at) - gatewayNow();
  return h("span", { class: "quiet num" }, what, left > 0 ? "over at about " : "was to be over at about ", h(Time, { at }), format.ahead(left));
}

/** Where a queued job stands. */
export function InLine({ job }) {
  const resource = resourceOf(job.resource);
  const found = resource && placeInLine(job.id, resource);
  const { detail } = job.waitingFor ?? {};
  if (!found) return h("p", { class: "quiet" }, detail ? format.sentence(detail) : "It waits for its turn.");
  const { place, ahead: id } = found;
  const ahead = store.jobs.get(id);
  return h("div", { class: "doing" },
    h("div", { class: "doing-head" },
      h("strong", { class: "num" }, place === 1 ? "Next in line" : `${words.nth(place)} in line`),
      h("span", { class: "grow" }),
      h(Estimate, { at: activeJobOf(resource)?.progress.estimatedCompletionAt, what: "the job at work " })),
    id && h("p", { class: "waiting" }, h(Sign, { name: "clock" }), "Behind ",
      h(JobLink, { id }, ahead ? `the job ${words.goal(ahead)}` : undefined),
      ahead && h("span", { class: "quiet" }, `${words.state(ahead).text.toLowerCase()}${words.by(ahead)}`)),
    job.waitingFor && h("p", { class: "quiet num" }, `Given up at ${format.time(job.deadlineAt)} at the latest.`));
}
