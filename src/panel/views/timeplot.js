/**
 * The plot of a resource's page: capacity, target and a metric until now, then the plan and what is expected, with windows,
 * claims and the hold as rows on the same time axis.
 */

import { gatewayNow } from "../clock.js";
import { extendHistory } from "../loading.js";
import { decidingMetric, valuesOf } from "../metrics.js";
import { cause, knownUntil } from "../outage.js";
import { described } from "../outlook.js";
import { Plot } from "../plot.js";
import { rows } from "../rows.js";
import { loadSeries } from "../standing.js";
import { changed, holdOn, ledger, policyOf, policyText, store } from "../store.js";
import { describePast, timePlot, timeShown } from "../timeplot.js";
import { Component, Fragment, h } from "../vendor/preact.mjs";
import { timeZone } from "../zone.js";
import { Legend, NoPlot, SpanChoice, currentSpan, whyNoPlot } from "./plots.js";

const HEIGHT = 260;
/** A picture that moves by less than a pixel is not drawn again. */
const PIXELS = 600;

/** Whether a whole day ahead is shown, and by alias the metric that the user chose. */
let isDayAhead = false;
const chosenMetrics = new Map();

/** The plot with its legend and its choices. */
export function TimePlot({ resource }) {
  const alias = resource.resource;
  const policy = policyOf(resource);
  const text = policy && policyText(alias, policy.revision);
  const outlook = policy && policy.mode !== "off" ? (store.outlooks.get(alias)?.outlook ?? null) : null;
  const known = store.histories.get(alias);
  const why = whyNoPlot(known);
  const names = Object.keys(text?.metrics ?? {});
  const chosen = chosenMetrics.get(alias);
  const name = names.includes(chosen) ? chosen : decidingMetric(text, policy?.decision);
  const choices = h(SpanChoice, null, outlook && h(DayChoice));
  const metricChoice = names.length > 1 && h(MetricChoice, { alias, names, name });
  if (why) return h(Fragment, null, h(Head, { choices }), h(NoPlot, { height: HEIGHT, why }));
  const { from, now, to } = moments(known, outlook);
  // Not while drawing.
  queueMicrotask(() => {
    if (!known.reaches(from)) extendHistory(alias, from);
    if (name) loadSeries(alias, name, from);
  });
  const { activeJob } = resource;
  const series = store.series.get(alias);
  const { decisions } = ledger(alias);
  return h(Drawn, {
    alias, text, outlook, known, from, now, to, until: untilWhen(from, now), activeJob, choices, metricChoice, decisions,
    name: series?.name === name ? name : null, points: series?.points, step: series?.step,
    claims: store.claims.get(alias)?.claims ?? null, hold: holdOn(resource), decision: policy?.decision ?? null,
    zone: timeZone(),
    version: `${known.version} ${decisions.length} ${store.jobs.get(activeJob)?.version} ${isDayAhead} ${currentSpan()} ${name}`,
  });
}

/** The lines of the resource end where nothing is known any more. */
const untilWhen = (from, now) => Math.max(from, cause() === null ? now : Math.min(now, knownUntil()));

function moments(known, outlook) {
  const at = gatewayNow();
  const { past, future } = timeShown({
    span: currentSpan() ?? null, automatic: known.automaticSpan(at), hasOutlook: outlook !== null, isDayAhead,
  });
  const pixel = Math.max(1000, (past + future) / PIXELS);
  const now = Math.ceil(at / pixel) * pixel;
  return { from: now - past, now, to: now + future };
}

/** What is given anew with each drawing of a page, although it may be the same. */
const GIVEN_ANEW = ["choices", "metricChoice", "decisions"];

/** Worked out only when something changed: pages are drawn every second. */
class Drawn extends Component {
  shouldComponentUpdate(next) {
    return Object.keys(next).some((key) => !GIVEN_ANEW.includes(key) && next[key] !== this.props[key]);
  }

  render({ alias, text, outlook, known, from, now, to, until, activeJob, choices, metricChoice, decisions, name, points, step, claims, hold }) {
    const metric = name && { name, values: valuesOf({ name, step, points }, decisions, text) };
    const drawn = timePlot({
      history: known, jobs: store.jobs, activeJob, metric, outlook, text, from, now, to, knownUntil: until,
    });
    const below = rows({ decisions, outlook, claims: claims ?? [], hold, from, now, to });
    const ahead = outlook && described(alias, outlook, text);
    const label = [describePast(alias, drawn, from, now), ahead].filter(Boolean).join(" ");
    return h(Fragment, null,
      h(Head, { drawn, choices, metricChoice }),
      h(Plot, { drawing: drawn, from, to, height: HEIGHT, label }, h(Rows, { ...below, from, to })));
  }
}

const Head = ({ drawn, choices, metricChoice }) =>
  h("div", { class: "plot-head" },
    h(Legend, { more: drawn ? legendOf(drawn) : [] }), h("span", { class: "grow" }), metricChoice, choices);

const legendOf = ({ metricName, metric, planned, expected }) => [
  metric.some(isNumber) && ["metric", metricName, "M0 8 5 3 9 7 14 2"],
  planned.some(isNumber) && ["planned", "planned", "M0 8h6V3h8"],
  expected.some(({ isTrusted }) => isTrusted) && ["expected", "expected, in units", "M0 7q7 -8 14 0v3H0Z"],
  expected.some(({ isTrusted }) => !isTrusted) && ["doubted", "expected, but does not count", "M0 8q7 -8 14 0"],
].filter(Boolean);

const isNumber = (value) => value !== null && value !== undefined;

const DayChoice = () =>
  h("button", {
    type: "button", "aria-pressed": String(isDayAhead), "aria-label": "+24h, a day ahead",
    onClick: () => {
      isDayAhead = !isDayAhead;
      changed();
    },
  }, "+24h");

const MetricChoice = ({ alias, names, name }) =>
  h("label", { class: "metric-choice" }, "Metric ",
    h("select", {
      value: name,
      onChange: (event) => {
        chosenMetrics.set(alias, event.target.value);
        changed();
      },
    }, names.map((each) => h("option", { key: each, value: each }, each))));

/** The plot tells where its time axis begins and ends. The page has them in words. */
function Rows({ rows: all, leftOut, from, to }) {
  if (all.length === 0) return null;
  const share = (at) => `${(100 * (at - from)) / (to - from)}%`;
  return h("div", { class: "plot-rows", "aria-hidden": "true" },
    all.map(({ kind, text, spans }, index) =>
      h("div", { key: index, class: `plot-row of-${kind}` },
        h("span", null, text),
        h("div", { class: "plot-spans" }, spans.map(({ begin, end }) =>
          h("i", { key: begin, style: { left: share(begin), width: `${(100 * (end - begin)) / (to - from)}%` } }))))),
    leftOut > 0 && h("p", { class: "quiet" }, `${leftOut} more ${leftOut === 1 ? "is" : "are"} not drawn.`));
}
