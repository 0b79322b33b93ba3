/** What the policy of a resource decided last and why, in short on a card and as a whole on the resource's page. */

import { gatewayNow } from "../clock.js";
import * as format from "../format.js";
import * as policies from "../policy.js";
import { holdOn, policyOf, policyText } from "../store.js";
import { Fragment, h } from "../vendor/preact.mjs";
import { untilWhen } from "./asking.js";
import { ClaimsCard } from "./claims.js";
import { Explanation } from "./decision.js";
import { HoldCard } from "./hold.js";
import { Ledger } from "./ledger.js";
import { OutlookCard } from "./outlook.js";
import { Badge, JobLink, Notice, Time } from "./parts.js";

/** The last decision in a line or two, and the hold; nothing for a resource that has neither. */
export function PolicyLine({ resource }) {
  const policy = policyOf(resource);
  const hold = holdOn(resource);
  if (!policy && !hold) return null;
  return h("div", { class: "policy-line" },
    hold && h("p", null, h(Badge, { look: { text: policies.held(hold), tone: "warn", sign: "bar" } }), " ",
      h("span", { class: "quiet num" }, untilWhen(hold.until, gatewayNow()))),
    policy && h("p", { class: "policy-sentence" },
      policy.mode !== "active" && h(Fragment, null, h(Badge, { look: policies.mode(policy) }), " "),
      format.sentence(policies.sentence(policy))));
}

/** What a resource's page shows of its policy, its hold and its claims. */
export function Standing({ resource }) {
  const alias = resource.resource;
  const policy = policyOf(resource);
  if (!policy) return h(HoldCard, { resource });
  const text = policyText(alias, policy.revision);
  return h(Fragment, null,
    h("div", { class: "heading" },
      h("h2", null, "Policy"), h(Badge, { look: policies.mode(policy) }),
      h("span", { class: "quiet" }, policy.inFile ? "from the configuration file" : `revision ${format.number(policy.revision)}`)),
    h("div", { class: "columns" },
      h("div", { class: "wide stack" }, h(LastDecision, { policy }), h(OutlookCard, { alias, policy, text }), h(Summary, { text })),
      h("div", { class: "narrow stack" }, h(HoldCard, { resource }), h(ClaimsCard, { alias, policy }))),
    h("h2", null, "Decisions"),
    h(Ledger, { alias }));
}

function LastDecision({ policy }) {
  const { conditions, decision } = policy;
  return h("section", { class: "card decision", "aria-label": "Last decision" },
    h("p", { class: "decision-sentence" },
      format.sentence(decision?.detail ?? policies.sentence(policy))),
    decision && h("p", { class: "decision-facts" },
      h(Badge, { look: policies.action(decision) }),
      decision.jobId && h(JobLink, { id: decision.jobId }, "Open the job"),
      decision.limitedBy && h("span", null, `Set by ${policies.limit(decision.limitedBy)}`),
      h("span", { class: "quiet num" },
        h(Time, { at: decision.lastAt }), `, ${format.ago(gatewayNow() - Date.parse(decision.lastAt))}, ${policies.occasion(decision)}`,
        decision.count > 1 && `; ${format.number(decision.count)} times in a row since ${format.time(decision.at)}`)),
    conditions.length > 0 && h(Notice, { tone: "warn", title: "What stands in its way" },
      h("ul", null, conditions.map(({ code, direction, detail, until }) =>
        h("li", { key: `${code} ${direction}` }, format.sentence(detail), h(Left, { until }))))),
    decision && h(Explanation, { decision }));
}

/** What is left of something that ends by itself; when that is, its sentence says. */
function Left({ until }) {
  const seconds = Math.round((Date.parse(until) - gatewayNow()) / 1000);
  return seconds > 0 ? h("span", { class: "quiet num" }, ` ${format.duration(seconds)} left.`) : null;
}

/** What the policy does in general, in the gateway's words. */
const Summary = ({ text }) =>
  text && h("details", { class: "card what-it-does" },
    h("summary", null, "What the policy does"),
    h("ul", null, text.summary.map((sentence) => h("li", { key: sentence }, sentence))),
    text.warnings.length > 0 && h(Notice, { tone: "warn", title: "Probably not meant" },
      h("ul", null, text.warnings.map(({ pointer, detail }) => h("li", { key: `${pointer} ${detail}` }, detail)))));
