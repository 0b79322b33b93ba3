/** One resource, with its capacity over time, its policy, its jobs and its timeline. */

import * as format from "../format.js";
import { activeJobOf } from "../fleet.js";
import { keyOf } from "../history.js";
import { loadHistory } from "../loading.js";
import { hrefs } from "../routes.js";
import { listedJobs, resourceOf, store } from "../store.js";
import { Fragment, h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { CapacityLine, LastFailure, ReadFailure, RefreshButton, ResourceState, StatusBadges } from "./card.js";
import { settingFacts } from "./fields.js";
import { JobTable } from "./jobs.js";
import { Fact, Gauge, JobLink, Unread, Sign, Time } from "./parts.js";
import { Standing } from "./policy.js";
import { TimePlot } from "./timeplot.js";

/** Most jobs of its own that a resource shows. */
const RECENT_JOBS = 10;

export function ResourcePage({ alias }) {
  const resource = resourceOf(alias);
  const problem = store.lookProblem?.alias === alias ? store.lookProblem.error : null;
  const head = h("div", { class: "heading" },
    h("h1", { tabIndex: -1 }, alias),
    resource && h(StatusBadges, { resource }),
    h("span", { class: "grow" }),
    h(RefreshButton, { alias }));
  if (!resource) {
    return h("div", { class: "page" }, head,
      problem ? h(Unread, { error: problem }) : h("p", { class: "quiet" }, "Reading…"),
      problem && h("p", null, h("a", { href: hrefs.resources }, "To the resources")));
  }
  const job = activeJobOf(resource);
  const { jobs } = listedJobs();
  return h("div", { class: "page" }, head,
    h(Unread, { error: problem }),
    h(LastFailure, { resource }),
    h(ReadFailure, { resource }),
    h("div", { class: "columns" },
      h("section", { class: "card wide", "aria-label": "Capacity" },
        h(CapacityLine, { resource, job }),
        h(Gauge, { capacity: resource.capacity, target: job?.targetCapacity ?? null, bounds: resource.bounds }),
        h(ResourceState, { resource, job }),
        h(TimePlot, { resource })),
      h(Settings, { resource })),
    h(Standing, { resource }),
    h("h2", null, "Jobs"),
    jobs.length === 0
      ? h("p", { class: "quiet" }, "No jobs.")
      : h(JobTable, { jobs: jobs.slice(0, RECENT_JOBS), withoutResource: true }),
    jobs.length > RECENT_JOBS && h("p", null, h("a", { href: hrefs.jobs({ resource: alias }) }, `All jobs of ${alias}`)),
    h("h2", null, "Timeline"),
    h(Timeline, { alias }));
}

function Settings({ resource }) {
  const { settings, settingLimits, bounds, lastObservation } = resource;
  return h("section", { class: "card narrow", "aria-label": "Settings" },
    h("h2", null, "What jobs run with"),
    h("dl", null,
      h(Fact, { name: "Bounds" }, words.bounds(bounds)),
      settingFacts(settings, settingLimits),
      h(Fact, { name: "In the configuration" }, resource.listed ? "yes" : "no"),
      h(Fact, { name: "Last reading" }, h(Time, { at: lastObservation?.receivedAt })),
      h(Fact, { name: "Observed" }, h(Time, { at: lastObservation?.observedAt }))));
}

/** Most entries shown of a timeline; the plot shows the rest. */
const MAX_SHOWN_ENTRIES = 50;

function Timeline({ alias }) {
  const known = store.histories.get(alias);
  const again = () => loadHistory(alias);
  const problem = known?.problem && h(Unread, { error: known.problem },
    h("p", null, h("button", { type: "button", disabled: known.loading, onClick: again }, "Try again")));
  if (!known?.loaded) return problem ?? h("p", { class: "quiet" }, "Reading the timeline…");
  if (known.entries.length === 0) return problem ?? h("p", { class: "quiet" }, "Nothing has happened yet.");
  return h(Fragment, null, problem, h("ol", { class: "timeline" }, known.entries.slice(0, MAX_SHOWN_ENTRIES).map((entry) =>
    h("li", { key: keyOf(entry), class: `tone-${words.kindLook(entry).tone}` },
      h(Sign, { name: words.kindLook(entry).sign }),
      h(Time, { at: entry.at }),
      h("span", { class: "timeline-kind" }, words.kind(entry)),
      h("span", { class: "timeline-detail" },
        format.sentence(entry.detail), " ", entry.job && h(JobLink, { id: entry.job }))))));
}
