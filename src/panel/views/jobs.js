/** The list of jobs, with filters that are part of the address. */

import { gatewayNow } from "../clock.js";
import * as format from "../format.js";
import { loadJobs, loadMoreJobs } from "../loading.js";
import { knownUntil } from "../outage.js";
import { STATES, UNFINISHED, hrefs } from "../routes.js";
import { MAX_LISTED, isOver, listedJobs, store } from "../store.js";
import { h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { Filters } from "./filters.js";
import { Badge, JobLink, Progress, Time, Unread } from "./parts.js";

export function JobsPage({ resource, states }) {
  const { list } = store;
  const { jobs, isCut } = listedJobs();
  return h("div", { class: "page" },
    h("h1", { tabIndex: -1 }, "Jobs"),
    h(Filters, {
      resource, states, all: STATES, unfinished: UNFINISHED, name: words.stateName, href: hrefs.jobs,
      aliases: [...(store.resources?.keys() ?? []), ...[...store.jobs.values()].map((job) => job.resource)],
    }),
    h(Unread, { error: list.problem }, h("p", null, h("button", { type: "button", onClick: loadJobs }, "Try again"))),
    jobs.length > 0 && h(JobTable, { jobs }),
    jobs.length === 0 && list.loaded && h(NoJobs, { isFiltered: resource !== "" || states.length > 0 }),
    jobs.length === 0 && list.loading && !list.loaded && h("p", { class: "quiet" }, "Loading…"),
    isCut && h("p", { class: "quiet" },
      `Only the newest ${format.number(MAX_LISTED)} are shown here. A resource or a state finds older ones.`),
    list.nextPageToken && !isCut && h("p", { class: "more" },
      h("button", { type: "button", disabled: list.loading, onClick: loadMoreJobs },
        list.loading ? "Loading…" : "Older jobs")));
}

const NoJobs = ({ isFiltered }) =>
  isFiltered
    ? h("p", { class: "quiet" }, "No job matches. ", h("a", { href: hrefs.jobs() }, "Show all jobs"))
    : h("p", { class: "quiet" }, "No jobs yet. ", h("a", { href: hrefs.scale() }, "Submit the first one"), ".");

/** Jobs, newest first. On a narrow screen rows are grids, which are no tables any more unless their roles say so. */
export function JobTable({ jobs, withoutResource = false }) {
  return h("table", { class: "jobs", role: "table" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      h("th", { role: "columnheader", scope: "col" }, "State"),
      h("th", { role: "columnheader", scope: "col", class: "at-job" }, "Job"),
      !withoutResource && h("th", { role: "columnheader", scope: "col" }, "Resource"),
      h("th", { role: "columnheader", scope: "col" }, "Capacity"),
      h("th", { role: "columnheader", scope: "col", class: "at-progress" }, "Progress"),
      h("th", { role: "columnheader", scope: "col", class: "at-note" }, "What it does"),
      h("th", { role: "columnheader", scope: "col", class: "at-who" }, "By"),
      h("th", { role: "columnheader", scope: "col", class: "at-took" }, "Took"),
      h("th", { role: "columnheader", scope: "col" }, "Submitted"))),
    h("tbody", { role: "rowgroup" }, jobs.map((job) => h(JobRow, { key: job.id, job, withoutResource }))));
}

function JobRow({ job, withoutResource }) {
  return h("tr", { role: "row", "data-job": job.id, "data-state": job.state },
    h("td", { role: "cell", class: "at-state" }, h(Badge, { look: words.state(job) })),
    h("td", { role: "cell", class: "at-job" }, h(JobLink, { id: job.id })),
    !withoutResource && h("td", { role: "cell", class: "at-resource" },
      h("a", { class: "plain", href: hrefs.resource(job.resource), title: job.resource }, job.resource)),
    h("td", { role: "cell", class: "at-goal" },
      h("a", { class: "num", href: hrefs.job(job.id), title: job.id }, words.goal(job))),
    h("td", { role: "cell", class: "at-progress" }, h(HowFar, { job })),
    h("td", { role: "cell", class: "at-note" }, h(Note, { job })),
    h("td", { role: "cell", class: "at-who quiet" }, words.caller(job)),
    h("td", { role: "cell", class: "at-took num quiet" }, words.took(job, knownUntil())),
    h("td", { role: "cell", class: "at-time num quiet" }, h(Time, { at: job.createdAt })));
}

function HowFar({ job }) {
  const { completedSteps, percent } = job.progress;
  if (isOver(job)) return h("span", { class: "num quiet" }, words.steps(completedSteps));
  return h("span", { class: "progress-cell" }, h(Progress, { job }), h("span", { class: "num quiet" }, `${percent} %`));
}

/** What to know about a job: what it waits for or why it failed, and what it was for. */
function Note({ job }) {
  const what = whatItDoes(job);
  return h("span", { title: job.error?.message ?? job.reason ?? undefined },
    what, what && job.reason && " ", job.reason && h("span", { class: "quiet" }, job.reason));
}

function whatItDoes(job) {
  const waiting = words.waiting(job, gatewayNow());
  if (waiting) return h("span", null, waiting.text, h("span", { class: "quiet num" }, `, ${waiting.left}. `));
  if (job.error) return h("span", null, format.sentence(job.error.message));
  return job.supersededBy ? h("span", { class: "quiet" }, "Another job took its place.") : null;
}
