/**
 * What is ahead of a resource with a policy: the capacity that is planned, what is expected of metrics, windows and claims on
 * one time axis; and how good what is expected was so far.
 */

import * as format from "../format.js";
import { described, drawing, entries } from "../outlook.js";
import * as policies from "../policy.js";
import { store } from "../store.js";
import { Component, Fragment, h } from "../vendor/preact.mjs";
import { Badge, Unread, Time } from "./parts.js";

/** Most entries in words. */
const MOST_ENTRIES = 100;
/** The size of the drawing in its own units. It is stretched to the room that there is. */
const WIDTH = 1000;
const HEIGHT = 100;

/** Nothing for a policy that is off: it plans nothing, and what is ahead does not count. */
export function OutlookCard({ alias, policy, text }) {
  if (policy.mode === "off") return null;
  const { outlook, problem } = store.outlooks.get(alias) ?? { outlook: null, problem: null };
  const forecasts = policy.forecasts ?? [];
  return h("section", { class: "card outlook", "aria-label": "Outlook" },
    h("h2", null, "The next 24 hours"),
    h(Unread, { error: problem }),
    outlook ? h(Ahead, { alias, outlook, text, mode: policy.mode }) : !problem && h("p", { class: "quiet" }, "Looking ahead…"),
    forecasts.length > 0 && h("ul", { class: "plain-list forecasts" }, forecasts.map((forecast) =>
      h("li", { key: forecast.rule },
        h("p", { class: "claim-head" }, h("strong", null, forecast.rule), h(Badge, { look: policies.forecastState(forecast) })),
        policies.forecastWords(forecast).map((words) => h("p", { key: words, class: "quiet" }, words)),
        forecast.learnedThrough && h("p", { class: "quiet" }, "Learned from values until ", h(Time, { at: forecast.learnedThrough }), ".")))));
}

/** Drawn only when there is something new: pages are drawn every second. */
class Ahead extends Component {
  shouldComponentUpdate(next) {
    return ["alias", "outlook", "text", "mode"].some((name) => next[name] !== this.props[name]);
  }

  render({ alias, outlook, text, mode }) {
    const shown = drawing(outlook, text);
    return h(Fragment, null,
      mode === "advise" && h("p", { class: "quiet" }, "This is what would follow if the policy acted."),
      h(Legend, { shown }),
      h(Plot, { shown, label: described(alias, outlook, text) }),
      shown.planned.length === 0 && h("p", { class: "quiet" }, "No capacity is planned: there is no usable reading of the resource."),
      shown.lanesLeftOut > 0 && h("p", { class: "quiet" }, `${format.number(shown.lanesLeftOut)} more are in the list.`),
      h(InWords, { all: entries(outlook, text) }));
  }
}

/** Each as the plot draws it. */
function Legend({ shown: { planned, bands, lanes } }) {
  const rows = [
    planned.length > 0 && ["planned", "planned", "M0 8h6V3h8"],
    bands.some(({ isTrusted }) => isTrusted) && ["expected", "expected, in units", "M0 7q7 -8 14 0v3H0Z"],
    bands.some(({ isTrusted }) => !isTrusted) && ["doubted", "expected, but does not count", "M0 8q7 -8 14 0"],
    lanes.some(({ kind }) => kind === "window") && ["window", "window", "M0 2h14v6H0Z"],
    lanes.some(({ kind }) => kind === "claim") && ["claim", "claim", "M0 2h14v6H0Z"],
  ];
  return h("ul", { class: "legend", "aria-hidden": "true" }, rows.filter(Boolean).map(([name, text, path]) =>
    h("li", { key: name }, h("svg", { class: `of-${name}`, viewBox: "-1 -1 16 12" }, h("path", { d: path })), text)));
}

function Plot({ shown, label }) {
  const { planned, plannedUntil, bands, lanes, marks, top } = shown;
  const x = (share) => (share * WIDTH).toFixed(1);
  const y = (units) => (HEIGHT - (HEIGHT * units) / top).toFixed(2);
  const most = unitMarks(top);
  return h("div", { class: "ahead", role: "img", "aria-label": label },
    h("div", { class: "ahead-units", "aria-hidden": "true" },
      most.map((units) => h("span", { key: units, style: { top: `${y(units)}%` } }, format.number(units)))),
    h("svg", { class: "ahead-plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      most.map((units) => h("path", { key: units, class: "ahead-grid", d: `M0 ${y(units)}H${WIDTH}` })),
      bands.map(({ rule, isTrusted, parts }) =>
        h("g", { key: rule, class: isTrusted ? "ahead-expected" : "ahead-doubted" }, parts.map((part, index) =>
          h(Fragment, { key: index },
            h("path", { class: "ahead-band", d: `${line(part, "upper", x, y)}${back(part, x, y)}Z` }),
            h("path", { class: "ahead-middle", d: line(part, "middle", x, y) }))))),
      planned.length > 0 && h("path", { class: "ahead-planned", d: steps(planned, plannedUntil, x, y) })),
    h("div", { class: "ahead-marks", "aria-hidden": "true" },
      marks.map((mark) => h("span", { key: mark.x, style: { left: `${100 * mark.x}%` } }, mark.text))),
    lanes.length > 0 && h("div", { class: "ahead-lanes", "aria-hidden": "true" }, lanes.map(({ kind, text, spans }, index) =>
      h("div", { key: index, class: `ahead-lane of-${kind}` },
        h("span", null, text),
        h("div", { class: "ahead-spans" }, spans.map(({ begin, end }) =>
          h("i", { key: begin, style: { left: `${100 * begin}%`, width: `${100 * (end - begin)}%` } })))))));
}

/** Whole numbers at round distances, four at most above 0. */
function unitMarks(top) {
  const size = 10 ** Math.floor(Math.log10(top / 4));
  const step = Math.max(1, [1, 2, 5, 10].map((factor) => factor * size).find((step) => top / step <= 4.999));
  return Array.from({ length: Math.floor(top / step) + 1 }, (_, index) => index * step);
}

const steps = (planned, until, x, y) =>
  `M${x(planned[0].x)} ${y(planned[0].units)}` +
  planned.slice(1).map((point) => `H${x(point.x)}V${y(point.units)}`).join("") + `H${x(until)}`;

const line = (part, side, x, y) =>
  `M${part.map((point) => `${x(point.x)} ${y(point[side])}`).join("L")}L${x(part.at(-1).end)} ${y(part.at(-1)[side])}`;

const back = (part, x, y) =>
  `L${[`${x(part.at(-1).end)} ${y(part.at(-1).middle)}`, ...part.toReversed().map((point) => `${x(point.x)} ${y(point.middle)}`)].join("L")}`;

/** The same for those who do not see the plot, or want to know exactly. */
const InWords = ({ all }) =>
  h("details", { class: "ahead-words" },
    h("summary", null, "What is ahead, in words"),
    h("ol", { class: "plain-list" }, all.slice(0, MOST_ENTRIES).map(({ at, what }, index) =>
      h("li", { key: index }, h(Time, { at }), " ", h("span", null, what)))),
    all.length > MOST_ENTRIES && h("p", { class: "quiet" }, `${format.number(all.length - MOST_ENTRIES)} more follow.`));
