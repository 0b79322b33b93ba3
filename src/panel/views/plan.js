/** A plan: the steps that a job would take, and when. */

import { gatewayNow } from "../clock.js";
import * as format from "../format.js";
import { isOver, resourceOf, store } from "../store.js";
import { h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { JobLink, Notice, Time } from "./parts.js";
import { stepPath } from "./plots.js";

/** Most steps of a plan that are listed. */
const MAX_SHOWN_STEPS = 12;

export function PlanView({ plan }) {
  const { steps, startCapacity, targetCapacity, estimatedCompletionAt, settings } = plan;
  if (plan.joins) {
    return h(Notice, { tone: "idle", role: "status" },
      h("p", null, "An unfinished job scales ", h("strong", null, plan.resource),
        ` to ${format.number(targetCapacity)} already and would be joined: `, h(JobLink, { id: plan.joins }), "."));
  }
  const more = steps.length - MAX_SHOWN_STEPS;
  return h("div", { role: "status", class: "plan-view" },
    h("p", { class: "plan-goal" },
      h("strong", { class: "num" }, `${format.number(startCapacity)} → ${format.number(targetCapacity)}`),
      steps.length === 0 ? " without a change" : ` in ${words.steps(steps.length)}`),
    h("p", { class: "num" },
      "Over at about ", h(Time, { at: estimatedCompletionAt }),
      format.ahead(Date.parse(estimatedCompletionAt) - gatewayNow())),
    steps.length > 0 && h(PlanPlot, { plan }),
    steps.length > 0 && h("table", { class: "steps" },
      h("thead", null, h("tr", null,
        ["Step", "Change", "Earliest"].map((name) => h("th", { key: name, scope: "col" }, name)))),
      h("tbody", null, steps.slice(0, MAX_SHOWN_STEPS).map((step) =>
        h("tr", { key: step.index, class: "num" },
          h("td", null, step.index),
          h("td", null, words.change(step)),
          h("td", null, h(Time, { at: step.earliestAt })))))),
    more > 0 && h("p", { class: "quiet" }, `and ${format.number(more)} more`),
    h("p", { class: "quiet" },
      `Step size ${format.number(settings.stepSize)}, cooldown ${format.duration(settings.cooldownSeconds)}.`));
}

/** The size of the plot, in units of the picture. */
const WIDTH = 320;
const HEIGHT = 72;

/** The capacity from the first step to the last, from 0 on. */
function PlanPlot({ plan: { steps, startCapacity, targetCapacity, estimatedCompletionAt } }) {
  const times = steps.map(({ earliestAt }) => Date.parse(earliestAt));
  const [from, end] = [times[0], Math.max(Date.parse(estimatedCompletionAt), times.at(-1) + 1)];
  const most = Math.max(1, startCapacity, targetCapacity);
  // What is before the first step and after the last one is seen, too.
  const air = (end - from) * 0.06;
  const place = (at, value) => [((at - from + air) / (end - from + 2 * air)) * WIDTH, HEIGHT - 2 - (value / most) * (HEIGHT - 4)];
  const path = stepPath([from - air, ...times, end + air], [startCapacity, ...steps.map(({ toCapacity }) => toCapacity), targetCapacity], place);
  const label = `Capacity from ${startCapacity} to ${targetCapacity}, ${format.time(from)} to ${format.time(end)}`;
  return h("div", { class: "plan-plot", role: "img", "aria-label": label },
    h("span", { class: "num" }, format.number(most)),
    h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, h("path", { d: path })),
    h("span", { class: "num" }, "0"),
    h("span", { class: "plan-times num" }, h("span", null, format.time(from)), h("span", null, format.time(end))));
}

/** The jobs that end if another one takes their place. */
export function Ends({ alias }) {
  const resource = resourceOf(alias);
  const ids = resource ? [resource.activeJob, ...resource.queue].filter((id) => id !== null) : [];
  const jobs = ids.map((id) => [id, store.jobs.get(id)]).filter(([, job]) => !job || !isOver(job));
  if (jobs.length === 0) return null;
  return h(Notice, { tone: "warn", title: jobs.length === 1 ? "It ends a job" : `It ends ${format.number(jobs.length)} jobs` },
    h("ul", { class: "ends" }, jobs.map(([id, job]) =>
      h("li", { key: id }, job && `${words.goal(job)}, ${words.state(job).text.toLowerCase()}${words.by(job)} `, h(JobLink, { id })))));
}
