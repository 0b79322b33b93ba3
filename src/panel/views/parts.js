/** The pieces that pages are made of. */

import * as format from "../format.js";
import { isExplained } from "../outage.js";
import { hrefs } from "../routes.js";
import { Component, Fragment, h } from "../vendor/preact.mjs";
import * as words from "../words.js";

const SIGNS = {
  dot: "M8 4.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7Z",
  clock: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11ZM8 5v3l2 1.5",
  check: "m3.5 8.5 3 3 6-7",
  cross: "m4 4 8 8m0-8-8 8",
  bar: "M4 8h8",
  swap: "M3 6h9L9.5 3.5M13 10H4l2.5 2.5",
  question: "M5.5 6a2.5 2.5 0 1 1 3.4 2.3c-.6.3-.9.7-.9 1.4m0 2.4v.2",
  arrow: "M3 8h9.5M9 4.5 12.5 8 9 11.5",
  refresh: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v2.8h-2.8",
  copy: "M6 5.5h7v7.5H6ZM10 3H3v7.5",
  key: "M10.5 2.5a3 3 0 1 1 0 6 3 3 0 0 1 0-6ZM8.4 7.6 3 13m2-2 2 2",
};

/** A small picture that repeats what text beside it says. */
export const Sign = ({ name }) =>
  h("svg", { class: `sign sign-${name}`, viewBox: "0 0 16 16", "aria-hidden": "true" }, h("path", { d: SIGNS[name] }));

export const Badge = ({ look, title }) =>
  h("span", { class: `badge tone-${look.tone}`, title }, h(Sign, { name: look.sign }), look.text);

/** A time, with the gateway's own way to write it where the pointer rests. */
export const Time = ({ at, children }) =>
  at ? h("time", { dateTime: at, title: at }, children ?? format.time(at)) : h("span", { class: "none" }, "–");

/** A row of a list of facts. */
export const Fact = ({ name, children }) =>
  h("div", { class: "fact" }, h("dt", null, name), h("dd", null, children));

export const Notice = ({ tone, role, title, children }) =>
  h("div", { class: `notice tone-${tone}`, role },
    h(Sign, { name: tone === "bad" ? "cross" : tone === "good" ? "check" : tone === "idle" ? "dot" : "clock" }),
    h("div", null, title && h("strong", null, title), children));

export const JobLink = ({ id, children }) =>
  h("a", { href: hrefs.job(id), title: id }, children ?? h("code", null, format.shortId(id)));

/** Who did something: the owner of a key, a policy or the operator. */
export const Actor = ({ actor: { kind, name, key, revision } }) =>
  h("span", { class: "actor" },
    kind === "policy" ? `policy, revision ${revision}`
      : kind === "operator" ? "operator"
      : h(Fragment, null, name, " ", h("code", null, key)));

/** What went wrong with a request, in the gateway's words. */
export function Refusal({ error, fields = [], children }) {
  if (!error) return null;
  if (error.status === undefined) {
    return h(Notice, { tone: "warn", role: "alert", title: "No answer" }, h("p", null, error.message), children);
  }
  // What stands beside its field is not repeated.
  const errors = error.errors.filter(({ pointer }) => !fields.includes(pointer));
  return h(Notice, { tone: "bad", role: "alert", title: error.title },
    h("p", null, format.sentence(error.detail)),
    errors.length > 0 && h("ul", null, errors.map(({ pointer, detail }) =>
      h("li", { key: pointer }, h("code", null, pointer), ` ${detail}`))),
    error.job && error.jobs.length < 2 && h("p", null, h("a", { href: hrefs.job(error.job.id) }, "Open the other job")),
    error.jobs.length > 1 && h("ul", null, error.jobs.map((job) =>
      h("li", { key: job.id }, h("a", { href: hrefs.job(job.id) }, `${job.resource} ${words.goal(job)}`)))),
    h(SidecarAnswer, { answer: error.sidecar }),
    error.retryAfterSeconds && h("p", null, `It may work in ${format.duration(error.retryAfterSeconds)}.`),
    children);
}

/** Why something could not be read, unless a banner tells it already. */
export const Unread = ({ error, ...more }) =>
  error && isExplained(error) ? h("p", { class: "quiet" }, "Not read, see above.") : h(Refusal, { error, ...more });

export const SidecarAnswer = ({ answer }) =>
  answer && h("div", { class: "answer" },
    h("p", null, `The sidecar answered with ${answer.status}:`), h("pre", null, answer.body || "(nothing)"));

export const ProgressBar = ({ percent, tone, label }) =>
  h("div", {
    class: `progress tone-${tone}`, role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100,
    "aria-valuenow": percent, "aria-label": label,
  }, h("div", { style: { width: `${percent}%` } }));

export const Progress = ({ job }) =>
  h(ProgressBar, {
    percent: job.progress.percent, tone: words.state(job).tone, label: `Progress of ${job.resource} ${words.goal(job)}`,
  });

/** Most units that are drawn one by one. */
const MAX_CELLS = 32;

/** Capacity, target and bounds as a row of units, or as a bar where there are too many. */
export function Gauge({ capacity, target, bounds }) {
  const wish = target ?? capacity ?? 0;
  const most = Math.max(capacity ?? 0, wish);
  const wanted = target === null || target === capacity ? "" : `, target ${format.number(target)}`;
  const text = `Capacity ${capacity === null ? "not known" : format.number(capacity)}${wanted}`;
  if (bounds.max <= MAX_CELLS || (bounds.max > 10_000 && most <= MAX_CELLS / 2)) {
    const count = bounds.max <= MAX_CELLS ? Math.max(bounds.max, most) : Math.max(most, 1);
    const cells = Array.from({ length: count }, (_, index) => {
      const [has, wants] = [index < (capacity ?? 0), index < wish];
      const fate = has ? (wants ? "full" : "leaving") : wants ? "coming" : "";
      return h("i", { key: index, class: `cell ${fate}` });
    });
    return h("div", { class: "cells", role: "img", "aria-label": text }, cells);
  }
  const scale = bounds.max <= 10_000 ? bounds.max : Math.max(most * 1.25, 1);
  const share = (value) => `${Math.min(100, (100 * value) / scale)}%`;
  return h("div", { class: "bar", role: "img", "aria-label": text },
    h("div", { class: "bar-full", style: { width: share(capacity ?? 0) } }),
    target !== null && h("div", { class: "bar-target", style: { left: share(target) } }));
}

/** Opens with the page it is in and holds the focus until it is closed. */
export class Dialog extends Component {
  #element = null;
  componentDidMount() {
    this.#element.showModal();
  }
  /** Gives the focus back to where it was. */
  componentWillUnmount() {
    this.#element.close();
  }
  render({ title, onClose, children }) {
    return h("dialog", {
      "aria-labelledby": "dialog-title", onClose,
      ref: (element) => (this.#element = element ?? this.#element),
    }, h("h2", { id: "dialog-title" }, title), children);
  }
}
