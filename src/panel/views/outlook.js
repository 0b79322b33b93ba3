/** What is ahead of a resource with a policy, in words, and how good what was expected was so far. The plot above shows it. */

import * as format from "../format.js";
import { entries } from "../outlook.js";
import * as policies from "../policy.js";
import { store } from "../store.js";
import { Fragment, h } from "../vendor/preact.mjs";
import { Badge, Unread, Time } from "./parts.js";

/** Most entries in words. */
const MOST_ENTRIES = 100;

/** Nothing for a policy that is off: it plans nothing, and what is ahead does not count. */
export function OutlookCard({ alias, policy, text }) {
  if (policy.mode === "off") return null;
  const { outlook, problem } = store.outlooks.get(alias) ?? { outlook: null, problem: null };
  const forecasts = policy.forecasts ?? [];
  return h("section", { class: "card outlook", "aria-label": "Outlook" },
    h("h2", null, "The next 24 hours"),
    h(Unread, { error: problem }),
    outlook ? h(Ahead, { outlook, text, mode: policy.mode }) : !problem && h("p", { class: "quiet" }, "Looking ahead…"),
    forecasts.length > 0 && h("ul", { class: "plain-list forecasts" }, forecasts.map((forecast) =>
      h("li", { key: forecast.rule },
        h("p", { class: "claim-head" }, h("strong", null, forecast.rule), h(Badge, { look: policies.forecastState(forecast) })),
        policies.forecastWords(forecast).map((words) => h("p", { key: words, class: "quiet" }, words)),
        forecast.learnedThrough && h("p", { class: "quiet" }, "Learned from values until ", h(Time, { at: forecast.learnedThrough }), ".")))));
}

function Ahead({ outlook, text, mode }) {
  const all = entries(outlook, text);
  return h(Fragment, null,
    mode === "advise" && h("p", { class: "quiet" }, "This is what would follow if the policy acted."),
    outlook.planned.length === 0 && h("p", { class: "quiet" }, "No capacity is planned: there is no usable reading of the resource."),
    h(InWords, { all }));
}

/** What the plot shows, for those who do not see it or want to know exactly. */
const InWords = ({ all }) =>
  h("details", { class: "ahead-words" },
    h("summary", null, "What is ahead, in words"),
    h("ol", { class: "plain-list" }, all.slice(0, MOST_ENTRIES).map(({ at, what }, index) =>
      h("li", { key: index }, h(Time, { at }), " ", h("span", null, what)))),
    all.length > MOST_ENTRIES && h("p", { class: "quiet" }, `${format.number(all.length - MOST_ENTRIES)} more follow.`));
