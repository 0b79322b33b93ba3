/** The hold on a resource: what it stops, until when and why, and the forms to put and to end one. */

import * as api from "../api.js";
import { gatewayNow } from "../clock.js";
import * as format from "../format.js";
import { announce, holdOn, policyOf, putHold } from "../store.js";
import * as policies from "../policy.js";
import { Component, h } from "../vendor/preact.mjs";
import { AskingDialog, EndFields, ReasonField, refused, untilWhen } from "./asking.js";
import { PIN, STOPS, emptyHold, holdWishOf } from "./demands.js";
import { Choice, Text } from "./fields.js";
import { Actor, Notice, Time } from "./parts.js";

export class HoldCard extends Component {
  /** The dialog that is open: `put` or `end`. */
  state = { asks: null };
  #heading = null;

  #leave = () => this.setState({ asks: null });

  #done = (hold, text) => {
    putHold(this.props.resource.resource, hold);
    announce(text);
    this.setState({ asks: null }, () => this.#heading.focus());
  };

  render({ resource }, { asks }) {
    const alias = resource.resource;
    const hold = holdOn(resource);
    const ask = (asks) => this.setState({ asks });
    const { off: more, why } = refused("hold-why", "puts and ends no holds");
    return h("section", { class: "card hold", "aria-label": "Hold" },
      h("h2", { tabIndex: -1, ref: (element) => (this.#heading = element ?? this.#heading) }, "Hold"),
      hold ? h(InForce, { hold }) : h("p", { class: "quiet" }, `Nothing is stopped. A hold refuses new jobs for a time${policyOf(resource) ? " and ends that of the policy" : ""}.`),
      h("div", { class: "actions start" },
        h("button", { type: "button", class: "small", ...more, onClick: () => ask("put") }, hold ? "Replace the hold" : "Hold"),
        hold && h("button", { type: "button", class: "small danger", ...more, onClick: () => ask("end") }, "End the hold")),
      why,
      asks === "put" && h(HoldForm, {
        resource, onLeave: this.#leave, onDone: (hold) => this.#done(hold, `${alias} is held.`),
      }),
      asks === "end" && h(AskingDialog, {
        title: `End the hold on ${alias}?`, leave: "Keep the hold", label: "End the hold", isDanger: true,
        send: () => api.endHold(alias), onLeave: this.#leave, onDone: () => this.#done(null, "The hold was ended."),
      }, h("p", null, "Jobs are accepted again, and a policy that acts goes on at once.")));
  }
}

const InForce = ({ hold }) =>
  h(Notice, { tone: "warn", title: policies.held(hold) },
    h("p", { class: "num" }, untilWhen(hold.until, gatewayNow())),
    hold.reason && h("p", null, hold.reason),
    hold.note && h("p", null, hold.note),
    h("p", { class: "quiet" }, hold.by && h(Actor, { actor: hold.by }), hold.by ? ", since " : "Since ", h(Time, { at: hold.createdAt })));

function HoldForm({ resource, onLeave, onDone }) {
  const alias = resource.resource;
  const acts = policyOf(resource)?.mode === "active";
  return h(AskingDialog, {
    title: `Hold ${alias}`, leave: "Cancel", label: "Hold", empty: emptyHold(), wishOf: holdWishOf,
    pointers: ["/capacity", "/forSeconds", "/until", "/reason"], send: (wish) => api.putHold(alias, wish), onLeave, onDone,
  }, (fields, wrong, set) => [
    h("p", { key: "what", class: "quiet" }, `While it lasts, new jobs of all callers are refused, also yours${acts ? ", and the job of the policy ends" : ""}. Jobs of callers that were accepted before go on.`),
    h(Choice, {
      key: "stops", legend: "What is stopped", name: "stops", value: fields.stops, isList: true,
      options: acts ? [...STOPS, PIN] : STOPS, onChoose: (value) => set("stops", value),
    }),
    fields.stops === "pin" && h(Text, {
      key: "capacity", name: "capacity", fields, set, label: "Capacity to keep", wrong: wrong["/capacity"],
      hint: `now ${format.number(resource.capacity)}`, more: { class: "number", inputMode: "numeric" },
    }),
    h(EndFields, { key: "end", fields, wrong, set }),
    h(ReasonField, { key: "reason", fields, wrong, set }),
  ]);
}
