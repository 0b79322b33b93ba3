/** One group: its members stage by stage, and how to end it. Its address is one to send to others. */

import { advice } from "../advice.js";
import * as api from "../api.js";
import { gatewayNow } from "../clock.js";
import * as format from "../format.js";
import { hrefs } from "../routes.js";
import { announce, isGroupOver, putGroup, store } from "../store.js";
import { Component, h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { Estimate } from "./ahead.js";
import { AskingDialog, refused } from "./asking.js";
import { namesOf } from "./groups.js";
import { Copy } from "./job.js";
import { Actor, Badge, Fact, JobLink, Notice, ProgressBar, SidecarAnswer, Sign, Time, Unread } from "./parts.js";

export function GroupPage({ id }) {
  const group = store.groups.get(id);
  if (group) return h(KnownGroup, { group });
  const isMissing = store.missingGroups.has(id);
  return h("div", { class: "page" },
    h("h1", { tabIndex: -1 }, isMissing ? "There is no such group" : "Group"),
    isMissing
      ? h("div", null,
          h("p", null, "The gateway has no group ", h("code", { class: "id" }, id),
            ", or the key of this tab is not for all of its resources. Finished groups are removed after a while."),
          h("p", null, h("a", { href: hrefs.groups() }, "To the groups")))
      : store.groupProblem ? h(Unread, { error: store.groupProblem }) : h("p", { class: "quiet" }, "Loading…"));
}

function KnownGroup({ group }) {
  const isOver = isGroupOver(group);
  return h("div", { class: "page job group-page" },
    h("div", { class: "heading" },
      h("h1", { tabIndex: -1 }, namesOf(group)),
      h(Badge, { look: words.groupState(group) }),
      h("span", { class: "grow" }),
      h("div", { class: "heading-actions" },
        h(Copy, { text: group.id, what: "The id", label: format.shortId(group.id), title: `Copy the id ${group.id}` }),
        h(Copy, { text: location.href, what: "The link", label: "Copy link" }),
        !isOver && h(CancelGroup, { key: group.id, group }))),
    store.flash?.id === group.id && !isOver && h(Notice, { tone: "good" }, h("p", null, store.flash.text)),
    !isOver && h(Unread, { error: store.groupProblem }),
    group.reason && h("p", { class: "reason" }, group.reason),
    h("section", { class: "card", "aria-label": "Progress" }, isOver ? h(Outcome, { group }) : h(Doing, { group })),
    h("div", { class: "columns" },
      h("div", { class: "wide stages" }, stagesOf(group).map(({ stage, members }, index, all) =>
        h(Stage, { key: stage, stage, members, isOnly: all.length === 1 }))),
      h(Facts, { group })));
}

function stagesOf({ members }) {
  const numbers = [...new Set(members.map(({ stage }) => stage))].sort((a, b) => a - b);
  return numbers.map((stage) => ({ stage, members: members.filter((member) => member.stage === stage) }));
}

function Doing({ group }) {
  const { completedSteps, totalSteps, percent, estimatedCompletionAt } = group.progress;
  const steps = totalSteps === null
    ? `${words.steps(completedSteps)} taken; how many there are is not known yet` : `${completedSteps} of ${words.steps(totalSteps)}`;
  return h("div", { class: "doing" },
    h("div", { class: "doing-head" },
      h("strong", { class: "num" }, steps), h("span", { class: "quiet num" }, `${percent} %`), h("span", { class: "grow" }),
      h(Estimate, { at: estimatedCompletionAt })),
    h(ProgressBar, { percent, tone: words.groupState(group).tone, label: "Progress of the group" }),
    group.state === "restoring" && h("p", { class: "waiting" },
      h(Sign, { name: "swap" }), "A member did not reach its target. What has moved goes back, the last stage first."),
    group.canceled && h("p", null, "The group was told to end. It ends as soon as the outcomes of the changes under way are known."));
}

function Outcome({ group }) {
  const look = words.groupState(group);
  const seconds = (Date.parse(group.finishedAt) - Date.parse(group.createdAt)) / 1000;
  const summary = {
    succeeded: "All members reached their targets", failed: group.error ? format.sentence(group.error.message) : "Failed",
    canceled: "Canceled",
  }[group.state];
  return h("div", { class: "doing" },
    h("p", { class: `summary tone-${look.tone}` }, h(Sign, { name: look.sign }), h("strong", null, summary)),
    h("p", { class: "quiet num" }, `After ${words.steps(group.progress.completedSteps)} in ${format.duration(seconds)}, at `,
      h(Time, { at: group.finishedAt }), "."));
}

const Stage = ({ stage, members, isOnly }) =>
  h("section", { class: "stage", "aria-labelledby": `stage-${stage}` },
    h("h2", { id: `stage-${stage}` }, isOnly ? "Members" : `Stage ${stage}`),
    h("ul", { class: "members" }, members.map((member) => h(Member, { key: member.resource, member }))));

function Member({ member }) {
  const waiting = words.waiting(member, gatewayNow());
  return h("li", { class: "card member", "data-member": member.resource, "data-state": member.state },
    h("div", { class: "card-head" },
      h("h3", null, h("a", { href: hrefs.resource(member.resource) }, member.resource)),
      h(Badge, { look: words.state({ state: member.state }) }),
      h("span", { class: "grow" }),
      h("a", { href: hrefs.job(member.jobId), title: member.jobId }, "Job ", h("code", null, format.shortId(member.jobId)))),
    h("dl", { class: "way num" },
      h(Place, { name: "Start", value: member.startCapacity }),
      h(Place, { name: "Now", value: member.currentCapacity, isNow: true }),
      h(Place, { name: "Target", value: member.targetCapacity })),
    waiting && h("p", { class: "waiting" }, h(Sign, { name: "clock" }), h("span", null, waiting.text),
      member.waitingFor.reason !== "stage" && h("span", { class: "quiet num" }, waiting.left)),
    h(Wrong, { error: member.error }),
    member.restore && h(WayBack, { member }));
}

const Place = ({ name, value, isNow = false }) =>
  h("div", { class: isNow ? "now" : undefined }, h("dt", null, name), h("dd", null, value === null ? "–" : format.number(value)));

const Wrong = ({ error }) =>
  error && h("div", { class: "member-wrong" },
    h("p", { class: "tone-bad toned" }, h(Sign, { name: "cross" }), h("span", null, format.sentence(error.message))),
    h("p", { class: "advice" }, advice(error.code), " ", h("span", { class: "quiet" }, "Code ", h("code", null, error.code))),
    h(SidecarAnswer, { answer: error.sidecar }));

function WayBack({ member }) {
  const { text, tone, sign } = words.wayBack(member);
  const waiting = words.waiting(member.restore, gatewayNow());
  return h("div", { class: "way-back" },
    h("p", { class: `toned tone-${tone}` }, h(Sign, { name: sign }),
      h("span", null, text, " ", h(JobLink, { id: member.restore.jobId }))),
    waiting && h("p", { class: "quiet num" }, `${waiting.text}, ${waiting.left}`),
    h(Wrong, { error: member.restore.error }));
}

const Facts = ({ group }) =>
  h("section", { class: "card narrow", "aria-label": "Details" },
    h("h2", null, "Details"),
    h("dl", null,
      h(Fact, { name: "Group" }, h("code", { class: "id" }, group.id)),
      h(Fact, { name: "On failure" }, words.onFailure(group.onFailure)),
      h(Fact, { name: "Submitted" }, h(Time, { at: group.createdAt })),
      group.submittedBy && h(Fact, { name: "Submitted by" }, h(Actor, { actor: group.submittedBy })),
      group.finishedAt && h(Fact, { name: "Ended" }, h(Time, { at: group.finishedAt })),
      group.canceledBy && h(Fact, { name: "Canceled by" }, h(Actor, { actor: group.canceledBy })),
      Object.entries(group.labels).map(([name, value]) => h(Fact, { key: name, name: `Label ${name}` }, value))));

/** What becomes of a member if the group is canceled now. */
export function fate({ state, currentCapacity, startCapacity, restore }) {
  const capacity = currentCapacity === null ? "where it is" : `at ${format.number(currentCapacity)}`;
  if (restore && ["queued", "running"].includes(restore.state)) {
    return `its way back to ${format.number(startCapacity)} ends, and it stays ${capacity}`;
  }
  if (state === "queued") return "has not begun; nothing is changed";
  if (state === "running") return `ends; a change under way is resolved first, otherwise it stays ${capacity}`;
  return `is over, and stays ${capacity}`;
}

class CancelGroup extends Component {
  state = { asking: false };

  render({ group }, { asking }) {
    const { off, why } = refused("cancel-why", "cancels no groups");
    const leave = () => this.setState({ asking: false });
    const done = (canceled) => {
      putGroup(canceled);
      announce("The group was told to end.");
      // The button that opened the dialog goes with the group.
      this.setState({ asking: false }, () => document.querySelector("h1")?.focus());
    };
    return h("div", { class: "cancel" },
      why,
      h("button", {
        type: "button", class: "danger", disabled: group.canceled, ...off, onClick: () => this.setState({ asking: true }),
      }, "Cancel group"),
      asking && h(AskingDialog, {
        title: "Cancel this group?", leave: "Keep the group", label: "Cancel the group", isDanger: true,
        send: () => api.cancelGroup(group.id), onLeave: leave, onDone: done,
      },
        h("p", null, "All of its unfinished jobs end. Nothing is taken back."),
        h("ul", { class: "ends" }, group.members.map((member) =>
          h("li", { key: member.resource }, h("strong", null, member.resource), ` ${fate(member)}`)))));
  }
}
