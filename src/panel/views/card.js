/** What is shown of a resource in short: on its card, and at the top of its own page. */

import { clockSpeed, gatewayNow } from "../clock.js";
import { failure } from "../advice.js";
import * as format from "../format.js";
import { look } from "../looking.js";
import { delay, isStale, lastFailure } from "../need.js";
import { cause, knownUntil } from "../outage.js";
import { hrefs } from "../routes.js";
import { store } from "../store.js";
import { Fragment, h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { Badge, Gauge, JobLink, Notice, Progress, Sign, Time } from "./parts.js";
import { ScaleLink } from "./asking.js";
import { ResourcePlot, currentSpan } from "./plots.js";
import { PolicyLine } from "./policy.js";

export function Card({ resource, group, job }) {
  const alias = resource.resource;
  return h("article", { class: `card need-${group}`, "aria-label": alias, "data-need": group },
    h("div", { class: "card-head" },
      h("h2", null, h("a", { href: hrefs.resource(alias) }, alias)),
      h("span", { class: "card-marks" }, h(StatusBadges, { resource })),
      h("span", { class: "card-actions" },
        h(RefreshButton, { alias }),
        h(ScaleLink, { alias, isSmall: true }))),
    h(LastFailure, { resource }),
    h(CapacityLine, { resource, job }),
    h(Gauge, { capacity: resource.capacity, target: job?.targetCapacity ?? null, bounds: resource.bounds }),
    h(ResourceState, { resource, job }),
    h(PolicyLine, { resource }),
    h(ResourcePlot, { alias, height: 132, span: currentSpan() }),
    h(ReadFailure, { resource }));
}

/** The status in the sidecar's words, and a mark if it looks fresh and is not. */
export function StatusBadges({ resource }) {
  const now = gatewayNow();
  const stale = isStale(resource, now, clockSpeed());
  const age = stale && format.ago(now - Date.parse(resource.lastObservation.receivedAt));
  return h(Fragment, null,
    h(Badge, { look: words.resourceStatus(resource, stale), title: "Status in the sidecar's words" }),
    stale && h(Badge, { look: { text: "stale", tone: "warn", sign: "clock" }, title: `Last read ${age}` }));
}

/** That the last job failed, until another succeeds. */
export function LastFailure({ resource }) {
  const outcome = lastFailure(resource);
  if (!outcome) return null;
  return h("p", { class: "last-failure tone-bad" }, h(Sign, { name: "cross" }),
    h("span", null, h(JobLink, { id: outcome.job }, "Last job failed"), `: ${failure(outcome.errorCode)}, `,
      h(Time, { at: outcome.at }, format.ago(gatewayNow() - Date.parse(outcome.at)))));
}

export function CapacityLine({ resource, job }) {
  const { bounds, lastObservation } = resource;
  const target = job?.targetCapacity ?? null;
  return h("div", { class: "capacity" },
    h("span", { class: "capacity-now" }, format.number(resource.capacity)),
    target !== null && target !== resource.capacity && h("span", { class: "capacity-target" },
      h("span", { "aria-hidden": "true" }, "→ "),
      h("span", { class: "only-aloud" }, "target "), format.number(target)),
    h("span", { class: "quiet" }, `bounds ${words.bounds(bounds)}`),
    h("span", { class: "grow" }),
    lastObservation && h("span", { class: "quiet" }, "read ",
      h(Time, { at: lastObservation.receivedAt }, format.ago(gatewayNow() - Date.parse(lastObservation.receivedAt)))));
}

/** What the resource does, in one or two lines. */
export function ResourceState({ resource, job }) {
  const now = gatewayNow();
  const cooldown = resource.cooldownEndsAt - now;
  const waiting = job && words.waiting(job, now);
  const late = delay(resource, job, knownUntil());
  return h("div", { class: "doing" },
    job
      ? h(Fragment, null,
          h("div", { class: "doing-job" },
            h(JobLink, { id: job.id }, `Job ${words.goal(job)}`),
            h(Progress, { job }),
            h("span", { class: "num quiet" }, `${job.progress.percent} %`)),
          job.groupId && h("p", null, h("a", { href: hrefs.group(job.groupId) }, "Part of a group")),
          // What is left of the cooldown stands below in any case.
          h("p", null, h("span", null, waiting?.text ?? words.state(job).text),
            waiting && job.waitingFor.reason !== "cooldown" && h("span", { class: "quiet num" }, `, ${waiting.left}`)),
          late && h("p", { class: "tone-warn toned num" }, h(Sign, { name: "clock" }), words.late(late)))
      : resource.activeJob && h("p", { class: "quiet" }, h(JobLink, { id: resource.activeJob }, "A job is running")),
    (cooldown > 0 || resource.queue.length > 0) && h("p", { class: "doing-facts" },
      cooldown > 0 && h("span", { class: "cooldown tone-warn" }, "Cooldown ", h("span", { class: "num" }, format.countdown(cooldown))),
      resource.queue.length > 0 && h("a", { href: hrefs.jobs({ resource: resource.resource, states: ["queued"] }) },
        words.queued(resource.queue.length))));
}

/** Why a reading failed, unless something out of order explains it for all resources. */
export const ReadFailure = ({ resource }) =>
  resource.readFailure && cause() === null
    ? h(Notice, { tone: "warn", role: "status", title: "The last reading failed" },
        h("p", null, format.complaint(resource.readFailure)))
    : null;

export function RefreshButton({ alias }) {
  const isReading = store.reading.has(alias);
  return h("button", {
    type: "button", class: "small icon", "aria-label": `Read ${alias} again`, title: "Ask the sidecar for a reading",
    "aria-busy": String(isReading), onClick: () => look(alias),
  }, h(Sign, { name: "refresh" }));
}
