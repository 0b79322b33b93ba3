/** A plan: the steps that a job would take, and when. */

import { gatewayNow } from "../api.js";
import * as format from "../format.js";
import { h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { JobLink, Notice, Time } from "./parts.js";

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
