/** A decision of a policy: the metrics it rests on, what each rule wants, and what changed the number. */

import * as format from "../format.js";
import * as policies from "../policy.js";
import { policyText } from "../store.js";
import { h } from "../vendor/preact.mjs";
import { Badge, Time } from "./parts.js";

/** All that explains `decision`. */
export function Explanation({ decision }) {
  const { stages, rules, metrics, otherwiseIf, limitedBy } = decision;
  // It says which metric a rule looks at.
  const text = policyText(decision.resource, decision.policyRevision);
  return h("div", { class: "explanation" },
    h(Facts, { caption: "Stages", heads: ["Stage", "Capacity", "Why"] },
      h(Row, { name: "Before", what: format.number(decision.target), why: h(Reading, { decision }) }),
      stages.map(({ stage, value, detail }, index) =>
        h(Row, {
          key: index, name: policies.stage(stage), what: format.number(value), why: detail ?? "the highest wish",
          isLast: limitedBy !== null && index === stages.length - 1,
        }))),
    rules.length > 0 && h(Facts, { caption: "Rules", heads: ["Rule", "Wants", "Why"] },
      rules.map((rule) => h(Row, { key: rule.name, name: rule.name, what: policies.wish(rule), why: rule.detail }))),
    Object.keys(metrics).length > 0 && h(Facts, { caption: "Metrics", heads: ["Metric", "Value", "State"] },
      Object.entries(metrics).map(([name, first]) => h(Metric, { key: name, name, first, last: decision.lastMetrics?.[name] ?? first }))),
    otherwiseIf.length > 0 && h(Facts, { caption: "What would change it", heads: ["If", "Then"] },
      otherwiseIf.map((alternative) => {
        const [condition, wish] = policies.otherwise(alternative, text);
        return h("tr", { key: condition, role: "row" },
          h("th", { role: "rowheader", scope: "row" }, condition), h("td", { role: "cell", colSpan: 2 }, wish));
      })));
}

/** On a narrow screen rows are grids, which are no tables any more unless their roles say so. */
const Facts = ({ caption, heads, children }) =>
  h("table", { class: "facts", role: "table" },
    h("caption", null, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((head, index) =>
      h("th", { key: head, role: "columnheader", scope: "col", colSpan: index === 1 ? 4 - heads.length : 1 }, head)))),
    h("tbody", { role: "rowgroup" }, children));

function Row({ name, what, why, isLast = false }) {
  return h("tr", { role: "row", class: isLast ? "decides" : undefined },
    h("th", { role: "rowheader", scope: "row" }, name, isLast && h("span", { class: "only-aloud" }, " (has the last word)")),
    h("td", { role: "cell", class: "num" }, what),
    h("td", { role: "cell" }, typeof why === "string" ? format.sentence(why) : why));
}

function Reading({ decision: { capacity, status } }) {
  if (capacity === null) return "there is no usable reading";
  return `what there is: ${[`capacity ${format.number(capacity)}`, status].filter(Boolean).join(", ")}`;
}

function Metric({ name, first, last }) {
  const { value, observedAt, ageSeconds } = last;
  const what = [format.value(value), first.value !== value && h("span", { class: "quiet" }, ` at first ${format.value(first.value)}`)];
  return h(Row, {
    name, what, why: [
      h(Badge, { key: "state", look: policies.metricState(last) }), " ",
      observedAt && h("span", { key: "age", class: "quiet num" }, `${format.duration(ageSeconds)} old, of `, h(Time, { at: observedAt })),
    ],
  });
}
