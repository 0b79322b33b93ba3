/** Filters of a list by resource and state, which are part of its address. */

import { h } from "../vendor/preact.mjs";

/** `all` states, those that are `unfinished`, the `name` of a state, and the address, `href`, of the list with a filter. */
export function Filters({ aliases, resource, states, all, unfinished, name, href }) {
  const listed = new Set(aliases);
  if (resource) listed.add(resource);
  const go = (filter) => (location.hash = href(filter));
  const isUnfinished = states.length === unfinished.length && unfinished.every((state) => states.includes(state));
  const toggled = (state) => (states.includes(state) ? states.filter((other) => other !== state) : [...states, state]);
  const pressed = (isPressed) => ({ type: "button", "aria-pressed": String(isPressed) });
  return h("div", { class: "filters" },
    h("label", null, "Resource ",
      h("select", { value: resource, onChange: (event) => go({ resource: event.currentTarget.value, states }) },
        h("option", { value: "" }, "All"),
        [...listed].sort().map((alias) => h("option", { key: alias, value: alias }, alias)))),
    h("div", { class: "segments", role: "group", "aria-label": "States" },
      h("button", { ...pressed(isUnfinished), onClick: () => go({ resource, states: isUnfinished ? [] : unfinished }) },
        "Unfinished"),
      all.map((state) => h("button", {
        key: state, ...pressed(states.includes(state)), onClick: () => go({ resource, states: toggled(state) }),
      }, name(state)))),
    (resource || states.length > 0) && h("a", { href: href() }, "Clear"));
}
