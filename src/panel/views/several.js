/** The form to scale several resources as one piece of work. */

import * as api from "../api.js";
import { gatewayNow } from "../clock.js";
import * as format from "../format.js";
import { hrefs } from "../routes.js";
import { putGroup, resourceOf, store } from "../store.js";
import { Fragment, h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { AdvancedFields, Choice, SettingFields } from "./fields.js";
import { Notice, Time } from "./parts.js";
import { PlannedForm } from "./planned.js";
import { GROUP_CONFLICTS, MAX_MEMBERS, empty, isComplete, row, wishOf } from "./severalwish.js";

const SEVERAL = {
  title: "Scale several resources", noun: "group", more: null,
  subject: () => "The group",
  // A half of a name is no resource.
  isComplete: (fields) =>
    isComplete(fields) && fields.members.every(({ resource }) => resource.trim() === "" || resourceOf(resource.trim()) !== null),
  wishOf, aliases: ({ targets }) => Object.keys(targets), plan: api.planGroup, submit: api.submitGroup,
  plans: ({ stages }) => stages.flatMap(({ members }) => members),
  put(group) {
    putGroup(group);
    return hrefs.group(group.id);
  },
  Fields, View: GroupPlanView,
};

export const SeveralPage = () => h(PlannedForm, { kind: SEVERAL, begin: empty });

function Fields({ fields, wrong, set }) {
  const { members } = fields;
  const change = (key, name, value) =>
    set("members", members.map((member) => (member.key === key ? { ...member, [name]: value } : member)));
  const add = () => set("members", [...members, row(Math.max(...members.map(({ key }) => key)) + 1, members.at(-1).stage)]);
  return h(Fragment, null,
    h("datalist", { id: "aliases" }, [...(store.resources?.keys() ?? [])].map((alias) => h("option", { key: alias, value: alias }))),
    h("fieldset", { class: "several" },
      h("legend", null, "Resources"),
      h("p", { class: "hint", id: "several-hint" },
        "Target: a capacity such as 3, or a difference such as +2 or −1. A stage begins when the one before has reached its targets."),
      members.map((member, index) => h(MemberRow, {
        key: member.key, member, number: index + 1, wrong, change,
        remove: members.length > 1 ? () => set("members", members.filter(({ key }) => key !== member.key)) : null,
      })),
      members.length < MAX_MEMBERS && h("p", null, h("button", { type: "button", class: "small", onClick: add }, "Add a resource"))),
    h(Choice, {
      legend: "If a member does not reach its target", name: "onFailure", value: fields.onFailure, options: words.ON_FAILURE,
      isList: true, onChoose: (value) => set("onFailure", value),
    }),
    h(SettingFields, { fields, wrong, set, conflicts: GROUP_CONFLICTS, legend: "If resources have unfinished jobs" }),
    h(AdvancedFields, { fields, wrong, set }));
}

function MemberRow({ member, number, wrong, change, remove }) {
  const alias = member.resource.trim();
  const resource = resourceOf(alias);
  // The gateway names the alias, the form the row.
  const refused = Object.entries(wrong).find(([pointer]) => alias !== "" && (pointer === `/targets/${alias}` || pointer.startsWith(`/targets/${alias}/`)));
  const mistakes = { amount: wrong[`/members/${member.key}/amount`] ?? refused?.[1] };
  for (const name of ["resource", "stage"]) mistakes[name] = wrong[`/members/${member.key}/${name}`];
  const input = (name, label, more) => {
    const id = `member-${member.key}-${name}`;
    return h("div", { class: `member-${name}` },
      h("label", { for: id }, label, h("span", { class: "only-aloud" }, ` ${number}`)),
      h("input", {
        id, value: member[name], "aria-invalid": mistakes[name] ? "true" : undefined,
        "aria-describedby": mistakes[name] ? `${id}-wrong` : "several-hint",
        onInput: (event) => change(member.key, name, event.currentTarget.value), ...more,
      }),
      mistakes[name] && h("p", { class: "field-wrong", id: `${id}-wrong` }, mistakes[name]));
  };
  return h("div", { class: "member-row" },
    input("resource", "Resource", { list: "aliases", autocapitalize: "none", spellcheck: false }),
    input("amount", "Target", { class: "number", autocomplete: "off" }),
    input("stage", "Stage", { class: "number", inputMode: "numeric" }),
    remove
      ? h("button", { type: "button", class: "small", "aria-label": `Remove resource ${number}`, onClick: remove }, "Remove")
      : h("span", null),
    resource && h("p", { class: "hint" }, `now ${format.number(resource.capacity)}, bounds ${words.bounds(resource.bounds)}`));
}

/** What a group would do, stage by stage. */
function GroupPlanView({ plan }) {
  if (plan.joins) {
    return h(Notice, { tone: "idle", role: "status" }, h("p", null, "An unfinished group does the same already and would be joined: ",
      h("a", { href: hrefs.group(plan.joins) }, "open it"), "."));
  }
  return h("div", { role: "status", class: "plan-view" },
    h("p", { class: "num" }, "Over at about ", h(Time, { at: plan.estimatedCompletionAt }),
      format.ahead(Date.parse(plan.estimatedCompletionAt) - gatewayNow())),
    plan.stages.map(({ stage, estimatedSeconds, members }) => h("div", { key: stage, class: "plan-stage" },
      h("p", { class: "num" }, h("strong", null, `Stage ${stage}`),
        h("span", { class: "quiet" }, ` about ${format.duration(estimatedSeconds)}`)),
      h("ul", { class: "plain-list" }, members.map((member) =>
        h("li", { key: member.resource, class: "num" }, `${member.resource}: ${way(member)}`))))));
}

const way = ({ startCapacity, targetCapacity, steps }) =>
  `${format.number(startCapacity)} → ${format.number(targetCapacity)} ${steps.length === 0 ? "without a change" : `in ${words.steps(steps.length)}`}`;
