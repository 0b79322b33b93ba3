/** Many resources as a dense table, those that need a person first, with small plots of those that move. */

import { gatewayNow } from "../clock.js";
import { failure } from "../advice.js";
import { activeJobOf, choice, choose, PAGE_ROWS } from "../fleet.js";
import * as format from "../format.js";
import { loadChosen } from "../loading.js";
import { GROUPS, delay, lastFailure } from "../need.js";
import { knownUntil } from "../outage.js";
import { hrefs } from "../routes.js";
import { Fragment, h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { StatusBadges } from "./card.js";
import { Badge, JobLink, Time } from "./parts.js";
import { Legend, Sparkline, sparkSpan } from "./plots.js";

/** Columns: what it is sorted by, if it can be; its heading; its class. */
const COLUMNS = [
  ["need", "State", "at-need"],
  ["name", "Resource", "at-resource"],
  [null, "Status", "at-status"],
  ["capacity", "Capacity", "at-capacity"],
  [null, null, "at-spark"],
  [null, "What it does", "at-note"],
  [null, "Read", "at-read"],
];

const chooseAndLoad = (chosen) => {
  choose(chosen);
  loadChosen();
};

export function FleetTable({ chosen: { found, shown, page, pages } }) {
  const span = sparkSpan(shown.map(({ resource }) => resource.resource));
  return h("section", { class: "fleet-and-search", "aria-label": "All resources" },
    h("div", { class: "filters" },
      h("label", null, "Search ",
        h("input", {
          type: "search", value: choice.query, autocapitalize: "none", spellcheck: false,
          onInput: (event) => chooseAndLoad({ query: event.currentTarget.value }),
        })),
      h("label", { class: "only-narrow" }, "Sort by ",
        h("select", { value: choice.sort, onChange: (event) => chooseAndLoad({ sort: event.currentTarget.value }) },
          COLUMNS.filter(([by]) => by).map(([by, text]) => h("option", { key: by, value: by }, text)))),
      h("span", { class: "grow" }),
      h(Pages, { page, pages, total: found.length })),
    shown.length === 0
      ? h("p", { class: "quiet" }, "No resource matches.")
      : h("table", { class: "fleet", role: "table" },
          h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
            COLUMNS.map((column) => h(Heading, { key: column[2], column, span })))),
          h("tbody", { role: "rowgroup" }, shown.map(({ resource, group }) =>
            h(Row, { key: resource.resource, resource, group, job: activeJobOf(resource), span })))),
    h(Legend, { isSmall: true }));
}

function Heading({ column: [by, title, name], span }) {
  const text = title ?? `Last ${format.duration(span / 1000)}`;
  const isChosen = by !== null && choice.sort === by;
  const order = by === "capacity" ? "descending" : "ascending";
  return h("th", { role: "columnheader", scope: "col", class: name, "aria-sort": isChosen ? order : undefined },
    by ? h("button", { type: "button", class: "sorts", onClick: () => chooseAndLoad({ sort: by }) },
      text, isChosen && h("span", { "aria-hidden": "true" }, order === "descending" ? " ↓" : " ↑")) : text);
}

function Pages({ page, pages, total }) {
  if (pages === 1) return h("span", { class: "quiet num" }, total === 1 ? "1 resource" : `${format.number(total)} resources`);
  const to = (next) => h("button", {
    type: "button", class: "small", disabled: next < 0 || next >= pages, onClick: () => chooseAndLoad({ page: next }),
  }, next < page ? "Previous" : "Next");
  const last = Math.min(total, (page + 1) * PAGE_ROWS);
  return h("span", { class: "pages" },
    h("span", { class: "quiet num" }, `${page * PAGE_ROWS + 1} to ${last} of ${format.number(total)}`), to(page - 1), to(page + 1));
}

const looks = new Map(GROUPS);

function Row({ resource, group, job, span }) {
  const alias = resource.resource;
  const { lastObservation } = resource;
  const target = job?.targetCapacity ?? null;
  return h("tr", { role: "row", "data-resource": alias, "data-need": group },
    h("td", { role: "cell", class: "at-need" }, h(Badge, { look: looks.get(group), title: looks.get(group).detail })),
    h("th", { role: "rowheader", scope: "row", class: "at-resource" }, h("a", { class: "plain", href: hrefs.resource(alias) }, alias)),
    h("td", { role: "cell", class: "at-status" }, h("span", { class: "marks" }, h(StatusBadges, { resource }))),
    h("td", { role: "cell", class: "at-capacity num" }, format.number(resource.capacity),
      target !== null && target !== resource.capacity && h("span", { class: "to-target" },
        h("span", { "aria-hidden": "true" }, " → "), h("span", { class: "only-aloud" }, "target "), format.number(target))),
    h("td", { role: "cell", class: "at-spark" }, group !== "quiet" && h(Sparkline, { alias, span })),
    h("td", { role: "cell", class: "at-note" }, h(Doing, { resource, job })),
    h("td", { role: "cell", class: "at-read num quiet" },
      lastObservation && h(Time, { at: lastObservation.receivedAt }, format.ago(gatewayNow() - Date.parse(lastObservation.receivedAt)))));
}

/** The one thing to know about a resource. */
function Doing({ resource, job }) {
  const now = gatewayNow();
  const outcome = lastFailure(resource);
  const waiting = job && words.waiting(job, now);
  const late = delay(resource, job, knownUntil());
  return h("span", null,
    outcome && h("span", { class: "tone-bad toned" }, h(JobLink, { id: outcome.job }, "Last job failed"), `: ${failure(outcome.errorCode)}`),
    outcome && resource.activeJob && ". ",
    late && h("span", { class: "tone-warn toned" }, words.late(late), " "),
    resource.activeJob && h(Fragment, null,
      h(JobLink, { id: resource.activeJob }, job ? `Job ${words.goal(job)}` : "A job"),
      waiting && h("span", { class: "quiet num" }, `: ${waiting.text.toLowerCase()}, ${waiting.left}`)),
    resource.queue.length > 0 && h("span", { class: "quiet num" }, `${resource.activeJob ? "; " : ""}${words.queued(resource.queue.length)}`));
}
