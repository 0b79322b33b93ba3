/** Resources: all of them as cards, and one of them with its timeline. */

import { gatewayNow } from "../api.js";
import * as format from "../format.js";
import { keyOf } from "../history.js";
import { MAX_PLOTS, loadHistory, look } from "../live.js";
import { hrefs } from "../routes.js";
import { listedJobs, resourceOf, store } from "../store.js";
import { Fragment, h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { settingFacts } from "./fields.js";
import { JobTable } from "./jobs.js";
import {
  Badge, Fact, Gauge, JobLink, Notice, Progress, Refusal, ResourcePlot, Sign, SpanChoice, Time, currentSpan,
} from "./parts.js";
import { PolicyLine, Standing } from "./policy.js";

/** Most jobs below the cards; the page of all jobs has the rest. */
const RECENT_JOBS = 10;

export function ResourcesPage() {
  if (!store.resources) {
    return h("div", { class: "page" }, h("h1", { tabIndex: -1 }, "Resources"),
      store.resourcesProblem ? h(Refusal, { error: store.resourcesProblem }) : h("p", { class: "quiet" }, "Loading…"));
  }
  const resources = [...store.resources.values()];
  const { jobs } = listedJobs();
  if (resources.length === 0 && jobs.length === 0 && store.list.loaded) return h(FirstJob);
  return h("div", { class: "page" },
    h("div", { class: "heading" },
      h("h1", { tabIndex: -1 }, "Resources"), h("span", { class: "grow" }), resources.length > 0 && h(SpanChoice)),
    resources.length === 0
      ? h("p", { class: "quiet" }, "No resource is configured, and none was scaled lately.")
      : h("div", { class: "cards" }, resources.map((resource, index) =>
          h(Card, { key: resource.resource, resource, hasPlot: index < MAX_PLOTS }))),
    h("div", { class: "heading" }, h("h2", null, "Latest jobs"), h("span", { class: "grow" }),
      h("a", { href: hrefs.jobs() }, "All jobs")),
    jobs.length === 0 && store.list.loaded
      ? h("p", { class: "quiet" },
          "No jobs yet. ", h("a", { href: hrefs.scale(resources[0]?.resource) }, "Submit the first one"), ".")
      : h(JobTable, { jobs: jobs.slice(0, RECENT_JOBS) }));
}

/** Shown while there is nothing to show: how to begin. */
function FirstJob() {
  const command = [
    `curl -sS -w '\\n' ${location.origin}/v1/jobs`, "-H 'Content-Type: application/json'",
    `-d '{"resource": "worker", "targetCapacity": 3}'`,
  ].join(" \\\n  ");
  return h("div", { class: "page first" },
    h("h1", { tabIndex: -1 }, "Nothing has been scaled yet"),
    h("p", null, "A job scales one resource of the service to a capacity, one step and one cooldown after the other. ",
      "The resource is named by its alias: its service key in the compose file."),
    h("ol", null,
      h("li", null, h("strong", null, "Submit a job here. "), "The form shows the steps before anything happens.",
        h("p", null, h("a", { class: "button primary", href: hrefs.scale() }, "Submit the first job"))),
      h("li", null, h("strong", null, "Or from a container of the service:"), h("pre", null, command)),
      h("li", null, h("strong", null, "Or from the command line:"), h("pre", null, "scalegate scale worker 3 --wait"))),
    h("p", { class: "quiet" }, "The resource then appears on this page, with its capacity over time. ",
      "A resource that is listed in the configuration file is shown from the start. ",
      h("a", { href: "/docs/" }, "API documentation")));
}

/** The job a resource works on, if it is known here. */
const activeJobOf = (resource) => store.jobs.get(resource.activeJob) ?? null;

function Card({ resource, hasPlot }) {
  const alias = resource.resource;
  const job = activeJobOf(resource);
  return h("article", { class: "card", "aria-label": alias },
    h("div", { class: "card-head" },
      h("h2", { title: alias }, h("a", { href: hrefs.resource(alias) }, alias)),
      h(Badge, { look: words.resourceStatus(resource), title: "Status in the sidecar's words" }),
      h("span", { class: "grow" }),
      h(RefreshButton, { alias }),
      h("a", { class: "button small", href: hrefs.scale(alias), "aria-label": `Scale ${alias}` }, "Scale")),
    h(CapacityLine, { resource, job }),
    h(Gauge, { capacity: resource.capacity, target: job?.targetCapacity ?? null, bounds: resource.bounds }),
    h(ResourceState, { resource, job }),
    h(PolicyLine, { resource }),
    hasPlot
      ? h(ResourcePlot, { alias, height: 132, span: currentSpan() })
      : h("p", { class: "quiet" }, "Its plot is on ", h("a", { href: hrefs.resource(alias) }, "its own page"), "."),
    h(ReadFailure, { resource }));
}

function CapacityLine({ resource, job }) {
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
function ResourceState({ resource, job }) {
  const now = gatewayNow();
  const cooldown = resource.cooldownEndsAt - now;
  const waiting = job && words.waiting(job, now);
  const queued = resource.queue.length;
  return h("div", { class: "doing" },
    job
      ? h(Fragment, null,
          h("div", { class: "doing-job" },
            h(JobLink, { id: job.id }, `Job ${words.goal(job)}`),
            h(Progress, { job }),
            h("span", { class: "num quiet" }, `${job.progress.percent} %`)),
          // What is left of the cooldown stands below in any case.
          h("p", null, h("span", null, waiting?.text ?? words.state(job).text),
            waiting && job.waitingFor.reason !== "cooldown" && h("span", { class: "quiet num" }, `, ${waiting.left}`)))
      : h("p", { class: "quiet" },
          resource.activeJob ? h(JobLink, { id: resource.activeJob }, "A job is running") : "No job"),
    h("p", { class: "doing-facts" },
      h("span", { class: cooldown > 0 ? "cooldown tone-warn" : "cooldown quiet" },
        cooldown > 0 ? ["Cooldown ", h("span", { class: "num" }, format.countdown(cooldown))] : "No cooldown"),
      queued > 0 && h("a", { href: hrefs.jobs({ resource: resource.resource, states: ["queued"] }) },
        queued === 1 ? "1 job queued" : `${queued} jobs queued`)));
}

const ReadFailure = ({ resource }) =>
  resource.readFailure
    ? h(Notice, { tone: "warn", role: "status", title: "The last reading failed" },
        h("p", null, format.complaint(resource.readFailure)))
    : null;

function RefreshButton({ alias }) {
  const isReading = store.reading.has(alias);
  return h("button", {
    type: "button", class: "small icon", "aria-label": `Read ${alias} again`, title: "Ask the sidecar for a reading",
    "aria-busy": String(isReading), onClick: () => look(alias),
  }, h(Sign, { name: "refresh" }));
}

// ---- one resource -----------------------------------------------------------------------------------------------

export function ResourcePage({ alias }) {
  const resource = resourceOf(alias);
  const problem = store.lookProblem?.alias === alias ? store.lookProblem.error : null;
  const head = h("div", { class: "heading" },
    h("h1", { tabIndex: -1 }, alias),
    resource && h(Badge, { look: words.resourceStatus(resource) }),
    h("span", { class: "grow" }),
    h(RefreshButton, { alias }));
  if (!resource) {
    return h("div", { class: "page" }, head,
      problem ? h(Refusal, { error: problem }) : h("p", { class: "quiet" }, "Reading…"),
      problem && h("p", null, h("a", { href: hrefs.resources }, "To the resources")));
  }
  const job = activeJobOf(resource);
  const { jobs } = listedJobs();
  return h("div", { class: "page" }, head,
    h(Refusal, { error: problem }),
    h(ReadFailure, { resource }),
    h("div", { class: "columns" },
      h("section", { class: "card wide", "aria-label": "Capacity" },
        h(CapacityLine, { resource, job }),
        h(Gauge, { capacity: resource.capacity, target: job?.targetCapacity ?? null, bounds: resource.bounds }),
        h(ResourceState, { resource, job }),
        h("div", { class: "plot-head" }, h(Legend), h("span", { class: "grow" }), h(SpanChoice)),
        h(ResourcePlot, { alias, height: 260, span: currentSpan() })),
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

/** Each as the plot draws it. */
const LEGEND = [
  ["capacity", "capacity", "M0 5h14"],
  ["target", "target", "M0 5h5m4 0h5"],
  ["change", "change", "m7 0 5 10H2Z"],
  ["unknown", "not confirmed", "m7 0 5 10H2Z"],
  ["external", "by others", "m7 0 5 5-5 5-5-5Z"],
];

const Legend = () =>
  h("ul", { class: "legend", "aria-hidden": "true" }, LEGEND.map(([name, text, path]) =>
    h("li", { key: name },
      h("svg", { class: `of-${name}`, viewBox: "-1 -1 16 12" }, h("path", { d: path })), text)));

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
  const problem = known?.problem && h(Refusal, { error: known.problem },
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

