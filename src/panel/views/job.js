/** One job: what it does, what it did, and how to end it. Its address is one to send to others. */

import { advice } from "../advice.js";
import * as api from "../api.js";
import { gatewayNow } from "../clock.js";
import * as format from "../format.js";
import { hrefs } from "../routes.js";
import { announce, isOver, putJob, store } from "../store.js";
import { Component, h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { Estimate, InLine } from "./ahead.js";
import { refused } from "./asking.js";
import { settingFacts } from "./fields.js";
import {
  Actor, Badge, Dialog, Fact, JobLink, Notice, Progress, Refusal, SidecarAnswer, Sign, Time, Unread,
} from "./parts.js";
import { Legend, ResourcePlot } from "./plots.js";

export function JobPage({ id }) {
  const job = store.jobs.get(id);
  if (job) return h(KnownJob, { job });
  return h("div", { class: "page" },
    h("h1", { tabIndex: -1 }, store.missing.has(id) ? "There is no such job" : "Job"),
    store.missing.has(id)
      ? h("div", null,
          h("p", null,
            "The gateway has no job ", h("code", { class: "id" }, id), ". Finished jobs are removed after a while."),
          h("p", null, h("a", { href: hrefs.jobs() }, "To the jobs")))
      : store.jobProblem ? h(Unread, { error: store.jobProblem }) : h("p", { class: "quiet" }, "Loading…"));
}

function KnownJob({ job }) {
  return h("div", { class: "page job" },
    h("div", { class: "heading" },
      h("h1", { tabIndex: -1 },
        h("a", { class: "plain", href: hrefs.resource(job.resource) }, job.resource), " ",
        h("span", { class: "num" }, words.goal(job))),
      h(Badge, { look: words.state(job) }),
      h("span", { class: "grow" }),
      h("div", { class: "heading-actions" },
        h(Copy, { text: job.id, what: "The id", label: format.shortId(job.id), title: `Copy the id ${job.id}` }),
        h(Copy, { text: location.href, what: "The link", label: "Copy link" }),
        isOver(job) && job.state !== "succeeded" && h("a", { class: "button", href: hrefs.again(job) }, "Try again"),
        !isOver(job) && h(CancelButton, { key: job.id, job }))),
    store.notes.has(job.id) && h(Notice, { tone: "idle", title: "Please note" }, h("p", null, format.sentence(store.notes.get(job.id)))),
    store.flash?.id === job.id && !isOver(job) && h(Notice, { tone: "good" }, h("p", null, store.flash.text)),
    job.reason && h("p", { class: "reason" }, job.reason),
    h("section", { class: "card", "aria-label": "Progress" },
      isOver(job) ? h(Outcome, { job }) : job.state === "queued" ? h(InLine, { job }) : h(Doing, { job })),
    h("section", { class: "card", "aria-label": "Capacity during the job" }, h(Legend), h(JobPlot, { job })),
    h("div", { class: "columns" },
      h("section", { class: "wide", "aria-label": "Steps" },
        h("h2", null, "Steps"), h(StepTable, { job }), h(Retargets, { job }), h(ExternalChanges, { job })),
      h(Facts, { job })));
}

function Doing({ job }) {
  const { completedSteps, totalSteps, percent, estimatedCompletionAt } = job.progress;
  const now = gatewayNow();
  const waiting = words.waiting(job, now);
  const steps = totalSteps === null ? "The steps are not known yet" : `${completedSteps} of ${words.steps(totalSteps)}`;
  return h("div", { class: "doing" },
    h("div", { class: "doing-head" },
      h("strong", { class: "num" }, steps),
      h("span", { class: "quiet num" }, `${percent} %`),
      h("span", { class: "grow" }),
      h(Estimate, { at: estimatedCompletionAt })),
    h(Progress, { job }),
    waiting && h("p", { class: "waiting" },
      h(Sign, { name: "clock" }), h("strong", null, waiting.text), h("span", { class: "num" }, waiting.left)),
    waiting && h("p", { class: "quiet" }, waiting.detail),
    job.endingAs && h("p", null, job.endingAs === "canceled"
      ? "The job was told to end. It ends as soon as the outcome of the change that was sent is known."
      : "Another job takes its place as soon as the outcome of the change that was sent is known."));
}

function Outcome({ job }) {
  const look = words.state(job);
  const seconds = (Date.parse(job.finishedAt) - Date.parse(job.startedAt)) / 1000;
  const took = job.startedAt ? ` in ${format.duration(seconds)}` : "";
  const summary = {
    succeeded: `Reached ${format.number(job.targetCapacity)}`,
    failed: job.error ? format.sentence(job.error.message) : "Failed",
    canceled: !job.startedAt
      ? "Canceled before it began"
      : job.currentCapacity === null ? "Canceled" : `Canceled at capacity ${format.number(job.currentCapacity)}`,
    superseded: "Another job took its place",
  }[job.state];
  return h("div", { class: "doing" },
    h("p", { class: `summary tone-${look.tone}` }, h(Sign, { name: look.sign }), h("strong", null, summary)),
    h("p", { class: "quiet num" },
      job.startedAt ? `After ${words.steps(job.progress.completedSteps)}${took}, at ` : "Without a step, at ",
      h(Time, { at: job.finishedAt }), "."),
    job.error && h("p", { class: "advice" }, advice(job.error.code), " ",
      h("span", { class: "quiet" }, "Code ", h("code", null, job.error.code))),
    h(SidecarAnswer, { answer: job.error?.sidecar }),
    job.supersededBy && h("p", null, h(JobLink, { id: job.supersededBy }, "Open the job that took its place")));
}

function JobPlot({ job }) {
  const begin = Date.parse(job.startedAt ?? job.createdAt);
  const last = job.finishedAt ? Date.parse(job.finishedAt) : gatewayNow();
  const air = Math.max(2_000, (last - begin) * 0.05);
  return h(ResourcePlot, {
    alias: job.resource, height: 180, begin: begin - air, end: job.finishedAt ? last + air : undefined,
  });
}

function StepTable({ job }) {
  if (job.steps.length === 0) return h("p", { class: "quiet" }, isOver(job) ? "It changed nothing." : "None was taken yet.");
  return h("table", { class: "steps", role: "table" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ["Step", "Change", "Sent", "Took", "Outcome"].map((name) =>
      h("th", { key: name, role: "columnheader", scope: "col" }, name)))),
    h("tbody", { role: "rowgroup" }, job.steps.map((step) => {
      const seconds = (Date.parse(step.resolvedAt) - Date.parse(step.sentAt)) / 1000;
      return h("tr", { key: step.index, role: "row" },
        h("td", { role: "cell", class: "at-index quiet" }, step.index),
        h("td", { role: "cell", class: "at-change" }, words.change(step)),
        h("td", { role: "cell", class: "at-sent" }, h(Time, { at: step.sentAt })),
        h("td", { role: "cell", class: "at-took" }, step.sentAt && step.resolvedAt ? format.duration(seconds) : "–"),
        h("td", { role: "cell", class: "at-outcome" }, h(Badge, { look: words.outcome(step) })));
    })));
}

const ExternalChanges = ({ job }) =>
  job.externalChanges.length === 0 ? null : h("div", null,
    h("h2", null, "Changes by others"),
    h("ul", { class: "plain-list" }, job.externalChanges.map((change) =>
      h("li", { key: change.noticedAt, class: "num" }, h(Time, { at: change.noticedAt }),
        ` ${format.number(change.fromCapacity)} expected, ${format.number(change.toCapacity)} found`))));

const Retargets = ({ job: { retargets, retargetCount } }) =>
  retargetCount === 0 ? null : h("div", { class: "retargets" },
    h("h2", null, "Other targets, given by the policy"),
    h("ul", { class: "plain-list" }, retargets.map(({ at, from, to, decisionId }) =>
      h("li", { key: decisionId, class: "num" }, h(Time, { at }), ` ${format.number(from)} → ${format.number(to)}`))),
    retargetCount > retargets.length &&
      h("p", { class: "quiet" }, `and ${format.number(retargetCount - retargets.length)} earlier ones`));

function Facts({ job }) {
  const { settings } = job;
  const labels = Object.entries(job.labels);
  return h("section", { class: "card narrow", "aria-label": "Details" },
    h("h2", null, "Details"),
    h("dl", null,
      h(Fact, { name: "Job" }, h("code", { class: "id" }, job.id)),
      job.groupId && h(Fact, { name: "Group" }, h("a", { href: hrefs.group(job.groupId) }, "Part of a group")),
      h(Fact, { name: "Asked for" }, job.delta === null ? format.number(job.targetCapacity) : format.signed(job.delta)),
      h(Fact, { name: "Capacity" }, format.number(job.currentCapacity)),
      h(Fact, { name: "Submitted" }, h(Time, { at: job.createdAt })),
      job.submittedBy && h(Fact, { name: "Submitted by" }, h(Actor, { actor: job.submittedBy })),
      h(Fact, { name: "Started" }, h(Time, { at: job.startedAt })),
      job.finishedAt
        ? h(Fact, { name: "Ended" }, h(Time, { at: job.finishedAt }))
        : h(Fact, { name: "Given up at" }, h(Time, { at: job.deadlineAt })),
      job.canceledBy && h(Fact, { name: "Canceled by" }, h(Actor, { actor: job.canceledBy })),
      labels.map(([name, value]) => h(Fact, { key: name, name: `Label ${name}` }, value)),
      settingFacts(settings)));
}

/** Only where the browser lets a page write to the clipboard; the page has the text in any case. */
export class Copy extends Component {
  state = { copied: false };
  render({ text, what, label, title }, { copied }) {
    if (!navigator.clipboard) return null;
    const copy = () => navigator.clipboard.writeText(text).then(() => {
      this.setState({ copied: true });
      announce(`${what} was copied.`);
    }, () => {});
    return h("button", { type: "button", onClick: copy, title },
      h(Sign, { name: copied ? "check" : "copy" }), copied ? "Copied" : label);
  }
}

/** What becomes of a job that is canceled now. */
function consequence(job) {
  if (job.state === "queued") return "The job has not begun. It ends at once, and nothing was changed.";
  if (job.steps.at(-1)?.outcome === "pending") {
    return "A change is under way and cannot be taken back. The job ends when its outcome is known.";
  }
  if (job.currentCapacity === null) return "The job ends at once.";
  return `The job ends at once. The capacity stays at ${format.number(job.currentCapacity)}.`;
}

class CancelButton extends Component {
  state = { asking: false, sending: false, error: null };

  async #cancel() {
    this.setState({ sending: true, error: null });
    try {
      putJob(await api.cancel(this.props.job.id));
      announce("The job was told to end.");
      // The button that opened the dialog goes with the job.
      this.setState({ asking: false, sending: false }, () => document.querySelector("h1")?.focus());
    } catch (error) {
      this.setState({ sending: false, error });
    }
  }

  render({ job }, { asking, sending, error }) {
    const ask = () => this.setState({ asking: true, error: null });
    const leave = () => this.setState({ asking: false });
    const { off, why } = refused("cancel-why", "cancels no jobs");
    return h("div", { class: "cancel" },
      why,
      h("button", { type: "button", class: "danger", disabled: job.endingAs !== null, ...off, onClick: ask }, "Cancel job"),
      asking && h(Dialog, { title: `Cancel ${job.resource} ${words.goal(job)}?`, onClose: leave },
        h("p", null, consequence(job)),
        h(Refusal, { error }),
        h("div", { class: "actions" },
          h("button", { type: "button", autoFocus: true, onClick: leave }, "Keep the job"),
          h("button", {
            type: "button", class: "danger strong", disabled: sending || why !== null, onClick: () => this.#cancel(),
          }, "Cancel the job"))));
  }
}
