/** The fields of forms, and those of the form to scale. Each says what it is, what it means, and what is wrong with it. */

import * as format from "../format.js";
import { resourceOf, store } from "../store.js";
import { Fragment, h } from "../vendor/preact.mjs";
import * as words from "../words.js";
import { Fact } from "./parts.js";
import { ADVANCED, CONFLICTS, COOLDOWN, SETTINGS, STEP_SIZE } from "./wish.js";

/** The `settings` of a job or a resource as facts, each with the limit that the operator has set for it. */
export const settingFacts = (settings, settingLimits = {}) =>
  SETTINGS.map(([name, label, , unit]) => {
    const limit = words.limit(name, settingLimits);
    const value = unit ? format.duration(settings[name]) : format.number(settings[name]);
    return h(Fact, { key: name, name: label }, limit ? `${value}, ${limit}` : value);
  });

/** A field with its label, a hint, and what is wrong with it. */
export function Field({ id, label, hint, wrong, children }) {
  const described = [hint && `${id}-hint`, wrong && `${id}-wrong`].filter(Boolean).join(" ") || undefined;
  return h("div", { class: wrong ? "field wrong" : "field" },
    h("label", { for: id }, label),
    children({ id, name: id, "aria-describedby": described, "aria-invalid": wrong ? "true" : undefined }),
    wrong && h("p", { class: "field-wrong", id: `${id}-wrong` }, wrong),
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint));
}

export function Choice({ legend, name, value, options, onChoose, isList = false }) {
  return h("fieldset", { class: isList ? "choice list" : "choice" },
    h("legend", null, legend),
    h("div", { class: "options" }, options.map(([key, text, detail]) =>
      h("label", { key },
        h("input", { type: "radio", name, value: key, checked: value === key, onChange: () => onChoose(key) }),
        h("span", null, text, detail && h("span", { class: "quiet" }, ` ${detail}`))))));
}

/** A line of text. `more` are further properties of the input. */
export function Text({ name, fields, set, more = {}, ...rest }) {
  return h(Field, { id: name, ...rest }, (props) =>
    h("input", { ...props, ...more, value: fields[name], onInput: (event) => set(name, event.currentTarget.value) }));
}

function NumberField({ of: [name, label, hint, unit], fields, wrong, set }) {
  const resource = resourceOf(fields.resource);
  const standard = resource?.settings[name];
  const placeholder = standard === undefined ? "as configured" : unit ? format.duration(standard) : String(standard);
  const limit = resource && words.limit(name, resource.settingLimits);
  return h(Text, {
    name, fields, set, hint: limit ? `${hint}; ${limit} here` : hint, label, wrong: wrong[`/${name}`],
    more: { class: "number", inputMode: unit ? "text" : "numeric", placeholder },
  });
}

/** What to scale, and whereto. */
export function GoalFields({ fields, wrong, set }) {
  const resource = resourceOf(fields.resource);
  const isDelta = fields.goal === "delta";
  const example = isDelta ? "for example 2 or −1" : "";
  return h(Fragment, null,
    h(Text, {
      name: "resource", fields, set, label: "Resource", wrong: wrong["/resource"],
      hint: "alias: the service key in the compose file",
      more: { list: "aliases", autocapitalize: "none", spellcheck: false, autoFocus: fields.resource === "" },
    }),
    h("datalist", { id: "aliases" },
      [...(store.resources?.keys() ?? [])].map((alias) => h("option", { key: alias, value: alias }))),
    h("div", { class: "field-row" },
      h(Choice, {
        legend: "Scale", name: "goal", value: fields.goal, onChoose: (value) => set("goal", value),
        options: [["target", "to a capacity"], ["delta", "by a difference"]],
      }),
      h(Text, {
        name: "amount", fields, set, label: isDelta ? "Units to add or remove" : "Target capacity",
        wrong: wrong[isDelta ? "/delta" : "/targetCapacity"],
        hint: resource ? `now ${format.number(resource.capacity)}, bounds ${words.bounds(resource.bounds)}` : example,
        more: { class: "number", inputMode: isDelta ? "text" : "numeric" },
      })));
}

/** What most jobs leave as it is. */
export function SettingFields({ fields, wrong, set, conflicts = CONFLICTS, legend = "If the resource has an unfinished job with another target" }) {
  return h(Fragment, null,
    h("div", { class: "field-row" },
      [STEP_SIZE, COOLDOWN].map((of) => h(NumberField, { key: of[0], of, fields, wrong, set }))),
    h(Choice, {
      legend, name: "onConflict", value: fields.onConflict, options: conflicts, isList: true, onChoose: (value) => set("onConflict", value),
    }),
    h(Text, {
      name: "reason", fields, set, label: "Reason", wrong: wrong["/reason"], hint: "optional; a note for people",
      more: { maxLength: 500 },
    }));
}

/** What nearly all jobs leave as it is. Opens by itself if something in it is wrong. */
export function AdvancedFields({ fields, wrong, set }) {
  const wrongLabels = Object.entries(wrong).find(([pointer]) => /^\/labels(\/|$)/.test(pointer))?.[1];
  const isWrong = wrongLabels !== undefined || ADVANCED.some(([name]) => wrong[`/${name}`]);
  // It is not closed when that is mended: the user is still writing in it.
  const openIfWrong = (element) => {
    if (element && isWrong) element.open = true;
  };
  return h("details", { ref: openIfWrong },
    h("summary", null, "Advanced"),
    h("div", { class: "field-row" },
      ADVANCED.map((of) => h(NumberField, { key: of[0], of, fields, wrong, set }))),
    h(Field, { id: "labels", label: "Labels", wrong: wrongLabels, hint: "one name=value per line" }, (props) =>
      h("textarea", {
        ...props, rows: 2, spellcheck: false, value: fields.labels,
        onInput: (event) => set("labels", event.currentTarget.value),
      })));
}
