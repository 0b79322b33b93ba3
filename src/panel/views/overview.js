/** All resources: whether all is well, those that need a person first, and the latest jobs. */

import { activeJobOf, grouped, selection } from "../fleet.js";
import { hrefs } from "../routes.js";
import { listedJobs, store } from "../store.js";
import { h } from "../vendor/preact.mjs";
import { Card } from "./card.js";
import { FleetTable } from "./fleet.js";
import { JobTable } from "./jobs.js";
import { Unread } from "./parts.js";
import { Legend, SpanChoice } from "./plots.js";
import { Strip } from "./strip.js";

/** Most jobs below the resources; the page of all jobs has the rest. */
const RECENT_JOBS = 10;

export function ResourcesPage({ need }) {
  const head = h("h1", { tabIndex: -1 }, "Resources");
  if (!store.resources) {
    const error = store.resourcesProblem;
    return h("div", { class: "page" }, head, error ? h(Unread, { error }) : h("p", { class: "quiet" }, "Loading…"));
  }
  const all = grouped();
  const { jobs } = listedJobs();
  if (all.length === 0 && jobs.length === 0 && store.list.loaded) return h(FirstJob);
  const chosen = selection(all, need);
  return h("div", { class: "page" },
    h("div", { class: "heading" }, head, h("span", { class: "grow" }), !chosen.isTable && all.length > 0 && h(SpanChoice)),
    h(Strip, { all, need }),
    all.length === 0 && h("p", { class: "quiet" }, "No resource is configured, and none was scaled lately."),
    all.length > 0 && (chosen.isTable ? h(FleetTable, { chosen }) : h(Cards, { shown: chosen.shown })),
    h("div", { class: "heading" }, h("h2", null, "Latest jobs"), h("span", { class: "grow" }),
      h("a", { href: hrefs.jobs() }, "All jobs")),
    jobs.length === 0 && store.list.loaded
      ? h("p", { class: "quiet" },
          "No jobs yet. ", h("a", { href: hrefs.scale(all[0]?.resource.resource) }, "Submit the first one"), ".")
      : h(JobTable, { jobs: jobs.slice(0, RECENT_JOBS) }));
}

function Cards({ shown }) {
  if (shown.length === 0) return h("p", { class: "quiet" }, "None. ", h("a", { href: hrefs.resources }, "Show all"));
  return h("div", { class: "cards-and-legend" },
    h("div", { class: "cards" }, shown.map(({ resource, group }) =>
      h(Card, { key: resource.resource, resource, group, job: activeJobOf(resource) }))),
    h(Legend));
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
      h("li", null, h("strong", null, "Or from the command line:"), h("pre", null, `scalegate scale worker 3 --wait --server ${location.origin}`))),
    h("p", { class: "quiet" }, "The resource then appears on this page, with its capacity over time. ",
      "A resource that is listed in the configuration file is shown from the start. ",
      h("a", { href: "/docs/" }, "API documentation")));
}
