/** What a policy decided, newest first, a page at a time. Decisions in a row that are equal are one row with a count. */

import * as format from "../format.js";
import * as policies from "../policy.js";
import { loadLedger, loadOlderDecisions } from "../standing.js";
import { store } from "../store.js";
import { Component, Fragment, h } from "../vendor/preact.mjs";
import { Explanation } from "./decision.js";
import { Badge, JobLink, Unread, Sign, Time } from "./parts.js";

export function Ledger({ alias }) {
  const known = store.ledgers.get(alias);
  const problem = known?.problem && h(Unread, { error: known.problem },
    h("p", null, h("button", { type: "button", disabled: known.loading, onClick: () => loadLedger(alias) }, "Try again")));
  if (!known?.loaded) return problem ?? h("p", { class: "quiet" }, "Reading the decisions…");
  if (known.decisions.length === 0) return problem ?? h("p", { class: "quiet" }, "Nothing was decided yet.");
  return h(Fragment, null,
    problem,
    h("ol", { class: "ledger" }, known.decisions.map((decision) => h(Entry, { key: decision.id, decision }))),
    known.cut && h("p", { class: "quiet" }, "Older decisions were left out. They are there when the page is loaded again."),
    known.nextPageToken && h("p", { class: "more" },
      h("button", { type: "button", disabled: known.loading, onClick: () => loadOlderDecisions(alias) },
        known.loading ? "Loading…" : "Older decisions")));
}

/** A row that opens. */
class Entry extends Component {
  state = { isOpen: false };

  render({ decision }, { isOpen }) {
    const look = policies.action(decision);
    const { count, limitedBy } = decision;
    return h("li", { class: `tone-${look.tone}`, "data-decision": decision.id },
      h("details", { onToggle: (event) => this.setState({ isOpen: event.currentTarget.open }) },
        h("summary", null,
          h(Sign, { name: look.sign }),
          h(Time, { at: decision.lastAt }),
          h("span", { class: "ledger-way num" }, policies.way(decision)),
          h("span", { class: "ledger-detail" }, format.sentence(decision.detail)),
          count > 1 && h("span", { class: "ledger-count quiet num" }, `× ${format.number(count)}`)),
        isOpen && h("div", { class: "ledger-more" },
          h("p", { class: "decision-facts" },
            h(Badge, { look }),
            decision.jobId && h(JobLink, { id: decision.jobId }, "Open the job"),
            limitedBy && h("span", null, `Set by ${policies.limit(limitedBy)}`),
            h("span", { class: "quiet num" },
              `${policies.occasion(decision)}, mode ${decision.mode}, revision ${format.number(decision.policyRevision)}`,
              count > 1 && `; ${format.number(count)} times in a row since ${format.time(decision.at)}`)),
          h(Explanation, { decision }))));
  }
}
