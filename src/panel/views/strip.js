/** Whether all is well, in one line: gateway, store, sidecar, and the resources by what they need. */

import { counts, lacksMetric } from "../need.js";
import { cause } from "../outage.js";
import { hrefs } from "../routes.js";
import { store } from "../store.js";
import { h } from "../vendor/preact.mjs";
import { Sign } from "./parts.js";

const look = (tone, sign, text) => ({ tone, sign, text });
const NOT_KNOWN = look("idle", "question", "not known");

/** How the parts between the page and the resources are. What is behind one that is away is not known. */
function parts() {
  const broken = cause();
  const isHeard = store.readiness !== null && broken !== "gateway";
  const { sidecar } = store.readiness ?? {};
  const gateway = broken === "gateway" ? look("bad", "cross", "away")
    : store.connection.phase === "open" ? look("good", "check", "connected") : look("idle", "clock", "connecting");
  const storage = !isHeard ? NOT_KNOWN : broken === "store" ? look("bad", "cross", "fails") : look("good", "check", "in order");
  const reachable = !isHeard || broken === "store" || !sidecar ? NOT_KNOWN
    : sidecar.reachable === null ? look("idle", "bar", "not asked yet")
    : sidecar.reachable ? look("good", "check", "answers") : look("bad", "cross", "does not answer");
  return [["Gateway", gateway], ["Store", storage], ["Sidecar", reachable]];
}

/** The line in a few words. */
function verdict(all) {
  const number = all.filter(({ group }) => group === "failing" || group === "stuck").length;
  if (number > 0) return look("bad", "cross", number === 1 ? "1 resource needs you" : `${number} resources need you`);
  // What is out of order stands beside it, and the banner tells more.
  const blind = all.filter(({ resource }) => lacksMetric(resource)).length;
  if (cause() === null && blind > 0) return look("warn", "question", blind === 1 ? "1 policy lacks a metric" : `${blind} policies lack a metric`);
  return cause() === null ? look("good", "check", "All is well") : look("bad", "cross", "Not all is well");
}

export function Strip({ all, need }) {
  const { tone, sign, text } = verdict(all);
  return h("section", { class: "strip", "aria-label": "State of everything" },
    h("p", { class: `strip-verdict tone-${tone}`, role: "status" }, h(Sign, { name: sign }), h("strong", null, text)),
    h("ul", { class: "strip-parts" }, parts().map(([name, part]) =>
      h("li", { key: name, class: `tone-${part.tone}` }, h(Sign, { name: part.sign }), `${name} ${part.text}`))),
    h("ul", { class: "strip-groups" }, counts(all).filter(([name, , count]) => count > 0 || name === need).map(([name, group, count]) =>
      h("li", { key: name },
        h("a", {
          class: `tone-${group.tone}`, href: need === name ? hrefs.resources : hrefs.need(name), title: group.detail,
          "aria-current": need === name ? "true" : undefined,
        }, h(Sign, { name: group.sign }), h("span", { class: "num" }, count), ` ${group.text}`)))));
}
